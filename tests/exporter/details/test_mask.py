"""What is masked and what is not; how long that takes whatever the text is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.details.mask import mask

BOT = "123456789:AAF-abcdefghijklmnopqrstuvwxyz012345"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75\nq83vq83vq83vq83vq80=\n-----END RSA PRIVATE KEY-----"
)


def row(text, expected, name):
    """Return a row of a table."""
    return pytest.param(text, expected, id=name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        row("POSTGRES_PASSWORD=hunter2 up", "POSTGRES_PASSWORD=*** up", "variable"),
        row("password=hunter2", "password=***", "key=value"),
        row("password = hunter2", "password = ***", "spaces around ="),
        row("PASSWORD1=hunter2", "PASSWORD1=***", "numbered key"),
        row("db.password: hunter", "db.password: ***", "YAML"),
        row("dbPassword=hunter", "dbPassword=***", "camel case"),
        row("spring.datasource.password=x", "spring.datasource.password=***", "one character"),
        row('password="two words"', 'password="***"', "quoted, with a space"),
        row("password='two words' x", "password='***' x", "single quotes"),
        row('password="changed"', 'password="***"', "a word of prose, but quoted"),
        row("password=required", "password=***", "a word of prose, but after ="),
        row('password="unterminated', 'password="***', "no closing quote"),
        row('{"password":"hu\\"nter2","a":1}', '{"password":"***","a":1}', "JSON, escaped quote"),
        row('{"secret" : "abc"}', '{"secret" : "***"}', "JSON with spaces"),
        row('{"pin":1,"api_key": 123456}', '{"pin":1,"api_key": ***}', "JSON number"),
        row('msg="{\\"password\\":\\"x1\\",\\"b\\":2}"', 'msg="{\\"password\\":\\"***\\",\\"b\\":2}"', "JSON in a string"),
        row("{'password': 'x', 'a': 1}", "{'password': '***', 'a': 1}", "Python"),
        row('{:password=>"x"}', '{:password=>"***"}', "Ruby"),
        row("User{name=bob, password=abc, age=3}", "User{name=bob, password=***, age=3}", "Java"),
        row("User(password=abc)", "User(password=***)", "closing bracket stays"),
        row("password=a,secret=b;passwd=c", "password=***,secret=***;passwd=***", "several in a row"),
        row("Server=db;User=sa;Password=p@ss;", "Server=db;User=sa;Password=***;", "connection string"),
        row("host=db user=app password=abc dbname=x", "host=db user=app password=*** dbname=x", "libpq"),
        row("DefaultEndpointsProtocol=https;AccountKey=abc==", "DefaultEndpointsProtocol=https;AccountKey=***", "Azure"),
        row("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***", "AWS secret key"),
        row("key AKIAIOSFODNN7EXAMPLE used", "key *** used", "AWS key id"),
        row("GET /cb?access_token=abc&x=1", "GET /cb?access_token=***&x=1", "query parameter"),
        row("GET /?token=abcd1234efgh HTTP/1.1", "GET /?token=*** HTTP/1.1", "query token"),
        row("X-Amz-Signature=abc0", "X-Amz-Signature=***", "signed URL"),
        row("X-Api-Key: abc", "X-Api-Key: ***", "header"),
        row("postgres://app:s3cret@db:5432/x", "postgres://app:***@db:5432/x", "URL password"),
        row("postgres://app:p@ss@db/x", "postgres://app:***@db/x", "URL password with @"),
        row("redis://:s3cret@redis:6379/0", "redis://:***@redis:6379/0", "URL without user"),
        row('"amqp://u:p@mq"', '"amqp://u:***@mq"', "URL in quotes"),
        row("https://0123456789abcdef0123456789@o1.example.io/2", "https://***@o1.example.io/2", "key as the URL's user"),
        row("http://a:b@c http://d:e@f", "http://a:***@c http://d:***@f", "two URLs"),
        row("Authorization: Bearer abc", "Authorization: Bearer ***", "authorization, bearer"),
        row("authorization: Basic dTpw", "authorization: Basic ***", "authorization, basic"),
        row('"Authorization":"Bearer abc"', '"Authorization":"Bearer ***"', "authorization in JSON"),
        row("got Bearer abc.def-123 from", "got Bearer *** from", "bearer alone"),
        row("sent Basic YWRtaW46cGFzcw== to", "sent Basic *** to", "basic alone"),
        row("Cookie: sid=abc; theme=dark", "Cookie: ***", "cookies"),
        row("Set-Cookie: id=1; Path=/", "Set-Cookie: ***", "set-cookie"),
        row("session_id=0123456789abcdef", "session_id=***", "session"),
        row(f"POST /bot{BOT}/sendMessage", "POST /bot***/sendMessage", "Telegram bot token in a URL"),
        row(f"using {BOT}.", "using ***.", "Telegram bot token"),
        row(f"jwt {JWT} ok", "jwt *** ok", "JSON web token"),
        row("ghp_" + "a1" * 18, "***", "GitHub"),
        row("glpat-" + "a1" * 10, "***", "GitLab"),
        row("xoxb-1234567890-abc", "***", "Slack"),
        row("https://hooks.slack.com/services/T000/B000/abcdefgh", "https://hooks.slack.com/services/***", "Slack hook"),
        row("sk_live_" + "a1" * 10, "***", "Stripe"),
        row("root:$6$salt$" + "a" * 40 + ":1", "root:***:1", "hash of a password"),
        row("mysqladmin ping -phunter2 -h x", "mysqladmin ping -p*** -h x", "mysqladmin -p"),
        row("CMD-SHELL mysqladmin ping -uroot -p'x y'", "CMD-SHELL mysqladmin ping -uroot -p'*** y'", "mysqladmin, quoted"),
        row("curl -fsS -u admin:pw http://x", "curl -fsS -u admin:*** http://x", "curl -u"),
        row("redis-cli -a pw ping", "redis-cli -a *** ping", "redis-cli -a"),
        row("run --password hunter2 --x", "run --password *** --x", "flag with a space"),
        row("run --db-password=hunter2", "run --db-password=***", "flag with ="),
        row("-----BEGIN PRIVATE KEY-----MIIE-----END PRIVATE KEY-----!", "-----BEGIN PRIVATE KEY-----***!", "key in one line"),
        row('"-----BEGIN PRIVATE KEY-----\\nMIIEabcdefghijklmnop\\n"', '"-----BEGIN PRIVATE KEY-----***\\n"', "key without its end"),
        row(f"a\n{PEM}\nb", "a\n-----BEGIN RSA PRIVATE KEY-----\n***\n***\n***\nb", "key block"),
        row("q83vq83vq83vq83vq80\nq80=\n-----END PRIVATE KEY-----\nb", "***\n***\n***\nb", "end of a key block"),
        row("DB_PASSWORD_PROD=hunter2 up", "DB_PASSWORD_PROD=*** up", "name with a suffix"),
        row("SECRET_KEY_BASE=deadbeef", "SECRET_KEY_BASE=***", "Rails"),
        row("POSTGRES_PASSWORD_MAIN: hunter", "POSTGRES_PASSWORD_MAIN: ***", "suffix, YAML"),
        row("encryption_key_base64: AAAA", "encryption_key_base64: ***", "suffix in lower case"),
        row("passwordConfirm: 'x1'", "passwordConfirm: '***'", "suffix in camel case"),
        row("passwordConfirm: x1", "passwordConfirm: ***", "camel case, not quoted"),
        row('{"password_confirmation":"two words"}', '{"password_confirmation":"***"}', "suffix, JSON"),
        row("secretFilePassword=x", "secretFilePassword=***", "suffix, the last word tells"),
        row("password_file_password=x", "password_file_password=***", "two names, the last tells"),
        row("spring.datasource.password.main=x", "spring.datasource.password.main=***", "suffix after a dot"),
        row("API_TOKEN_PROD=abcd1234", "API_TOKEN_PROD=***", "token with a suffix"),
        row("TOKEN_PROD=abcd1234", "TOKEN_PROD=***", "weak name with a suffix"),
        row("run --db-password-prod hunter2 x", "run --db-password-prod *** x", "flag with a suffix"),
        row("--password hunter2", "--password ***", "flag where the text begins"),
        row("user[password]=x&user[name]=bob", "user[password]=***&user[name]=bob", "form field"),
        row("APP_KEY=base64:QUJDREVGR0hJSktM=", "APP_KEY=***", "Laravel"),
        row("key base64:QUJDREVGR0hJSktMQUJDREVGR0hJSktM= used", "key *** used", "marked as base64"),
        row("postgres://app:Xk9/f#2q@db:5432/shop", "postgres://app:***@db:5432/shop", "URL password with / and #"),
        row("http://app:X?y@h/x", "http://app:***@h/x", "URL password with ?"),
        row("postgres://app:9@9/f#2@db/x", "postgres://app:***@db/x", "URL password with @ and /"),
        row("jdbc:mysql://app:a/b@c@db/x?p=e@f", "jdbc:mysql://app:***@db/x?p=e@f", "URL password, and an @ in the query"),
        row("http://a:b/c@d,http://d:e@f", "http://a:***@d,http://d:***@f", "two URLs beside each other"),
        row("https://a:b@host/p/x@1.2", "https://a:***@host/p/x@1.2", "an @ in a path"),
        row("DSN user:pa:s@s/1@tcp(127.0.0.1:3306)/db", "DSN user:***@tcp(127.0.0.1:3306)/db", "Go's MySQL"),
        row('"u:p@unix(/run/my.sock)/db"', '"u:***@unix(/run/my.sock)/db"', "Go's MySQL over a socket"),
        row("IDENTIFIED BY 'two words'", "IDENTIFIED BY '***'", "SQL"),
        row("PasswordEncoder: secret=abc", "PasswordEncoder: secret=***", "a name in what a longer name is about"),
        row("secret-client: password=abc", "secret-client: password=***", "a name beside a logger's"),
        row("password=ab,cdefgh", "password=***", "comma in a value"),
        row("password=a&b;c,d up", "password=*** up", "separators in a value"),
        row("password=ab,cd,user=bob", "password=***,user=bob", "comma in a value, then the next name"),
        row("f(password=ab,cd)", "f(password=***)", "comma in a value, then a bracket"),
        row('{"api_key":123456,"pin":1}', '{"api_key":***,"pin":1}', "JSON number, then a name"),
        row("{password:abc,user:bob}", "{password:***,user:bob}", "Go, then a name"),
        row("пароль password=секрет да", "пароль password=*** да", "beyond ASCII"),
        row("password=abc\npassword=def", "password=***\npassword=***", "on two lines"),
    ],
)  # fmt: skip
def test_masked(text, expected):
    """What looks like a secret is not there any more; what is around it is."""
    found = mask(text)
    assert found.text == expected
    assert found.count >= 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("password=a,secret=b;passwd=c", 3, id="three values"),
        pytest.param(f"a\n{PEM}\nb", 1, id="a key block"),
        pytest.param("password=*** secret=x", 1, id="one that was masked by others"),
        pytest.param("password=ab,cd secret=x", 2, id="one with a comma"),
        pytest.param("http://a:b/c@d http://d:e@f", 2, id="two URLs"),
        pytest.param("all is well", 0, id="none"),
    ],
)
def test_count(text, count):
    """Values are counted, not lines."""
    assert mask(text).count == count


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("listening on 0.0.0.0:8080", id="no secret"),
        pytest.param("password: required", id="prose after a colon"),
        pytest.param("ERROR invalid password: must not be empty", id="prose, must"),
        pytest.param("SyntaxError: unexpected token: EOF", id="a parser's token"),
        pytest.param("unexpected token '<' at position 0", id="a parser's token, quoted"),
        pytest.param("max_tokens=512 prompt_tokens: 1000", id="counts of tokens"),
        pytest.param("token_count=12345678", id="a count of tokens"),
        pytest.param("pass=2 fail=0", id="test results"),
        pytest.param("bypass=abcdefgh1 compass=abcdefgh2", id="words that contain pass"),
        pytest.param("session=12345678", id="a plain number"),
        pytest.param("auth: disabled", id="a setting"),
        pytest.param("cookie: missing", id="no cookie"),
        pytest.param("POSTGRES_PASSWORD_FILE=/run/secrets/db", id="a file of a secret"),
        pytest.param("PWD=/app OLDPWD=/", id="the working directory"),
        pytest.param('password="" secret=null api_key: none', id="nothing"),
        pytest.param("password=*** secret=<redacted> pwd=****", id="masked by others"),
        pytest.param("mysqladmin ping -p$MYSQL_ROOT_PASSWORD", id="a variable"),
        pytest.param('password="${DB_PASSWORD}"', id="a variable in braces"),
        pytest.param("https://a:80/x?mail=bob@example.com", id="a port, and an @ later"),
        pytest.param("http://user@host/x", id="a user without a password"),
        pytest.param("see https://example.com/a:b", id="a colon in a path"),
        pytest.param("Bearer authentication failed", id="bearer in a sentence"),
        pytest.param("Basic auth needed", id="basic in a sentence"),
        pytest.param("sha256:" + "0a" * 32, id="digest"),
        pytest.param("commit 8f3a9c8f3a9c8f3a9c8f3a9c8f3a9c8f3a9c8f3a", id="commit"),
        pytest.param("2026-09-21T14:13:20.123456789Z 127.0.0.1:54321", id="times and addresses"),
        pytest.param("id=6f1c2d3e-0000-4000-8000-123456789abc", id="UUID"),
        pytest.param("secretary=Bob passwords rotated", id="words that contain a name"),
        pytest.param("use --password or --token, not both", id="flags in a sentence"),
        pytest.param("no -----BEGIN PRIVATE KEY----- found", id="a marker in a sentence"),
        pytest.param("-----BEGIN CERTIFICATE-----\nMIIDabcdefghijklmnop\n-----END CERTIFICATE-----", id="certificate"),
        pytest.param("curl -fsS http://localhost:8080/health", id="an ordinary health check"),
        pytest.param("mysql -h db -P 3306", id="a port's flag"),
        pytest.param("password_min_length=12 password_policy: strict", id="settings of passwords"),
        pytest.param("secretName: db-creds credentialsId=jenkins", id="names of secrets"),
        pytest.param("passwordResetUrl=https://h/x secret_key_path=/x", id="places of secrets"),
        pytest.param("SecretManagerClient: Connecting to vault", id="a logger's name"),
        pytest.param("com.app.password-checker: started", id="a logger's name with a hyphen"),
        pytest.param("at c.PasswordEncoder.encode(PasswordEncoder.java:42)", id="a stack trace"),
        pytest.param("get http://secret-app:8080/x", id="a host's name and its port"),
        pytest.param("password_reset: sent", id="what is done to a password"),
        pytest.param("password: can't be blank", id="prose, can't"),
        pytest.param("SECRETARY=Bob secretAry_x", id="words that begin like a name"),
        pytest.param("http://h:8080/a@b http://[::1]:80/a@b", id="ports, and an @ in a path"),
        pytest.param("decorated method:x@cache(1)", id="an @ and a bracket"),
        pytest.param("KeyError: 'REDIS_URL'", id="a name alone"),
        pytest.param("", id="empty"),
    ],
)  # fmt: skip
def test_not_masked(text):
    """What a person needs to read stays as it is."""
    assert (mask(text).text, mask(text).count) == (text, 0)


_VALUES = st.text(alphabet="abcdefghijkmnopqrstuvwxyzABCDEF0123456789_+/", min_size=20, max_size=60).map(
    lambda text: f"q7{text}"
)
_FORMS = (
    "password={}",
    "DB_PASSWORD: {}",
    '{{"client_secret":"{}"}}',
    "token={}&page=2",
    "Authorization: Bearer {}",
    "--api-key {} --verbose",
    '\\"access_token\\":\\"{}\\"',
)
_LINES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)


@given(before=_LINES, value=_VALUES, form=st.sampled_from(_FORMS), after=_LINES)
def test_a_secret_is_found_wherever_it_stands(before, value, form, after):
    """Whatever lines are around it; their number stays."""
    text = f"{before}\n {form.format(value)} \n{after}"
    found = mask(text)
    assert value not in found.text or value in before + after
    assert found.count >= 1
    assert found.text.count("\n") == 2


@pytest.mark.parametrize(
    "piece",
    [
        "password=", "password=a,", "://a:", "://a:b@", '"', "\\", 'password="\\', "secret='", "token: ", "a-", "_token", "mysql -p ",
        "redis-cli ", "curl -u a", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "A" * 16 + "\n", "eyJaaaaaaaa.", "$2a$",
        "123456:", "bearer ", "password_", "password_a=", "passwordA", "passwordAb.", "Aa", "password=***,", "=***,a", "password=a,b,", "password=a&",
        "://a:b/", "://a:b/@", "mysql://a:b@", "mysql://a:b@?", "a:b@tcp(", "a:", "base64:AAAA", "password]", "identified by '", "secret.secret",
        "cookie: a=", " --a", "authorization:", "\n",
    ],
)  # fmt: skip
def test_no_text_takes_long(piece):
    """A quarter of a megabyte of what might make an expression go back and forth: it would take minutes."""
    text = piece * (262144 // len(piece))
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 3
