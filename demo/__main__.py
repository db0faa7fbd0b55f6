"""Scratch."""
import sys, tempfile, time
from pathlib import Path
from demo.phone import Paint
from demo.stage import Stage
from demo import story
from tests.real.engine import Engine
from tests.real.site import Site

t0=time.time()
def say(l): print(l, flush=True)
with Engine() as e, tempfile.TemporaryDirectory() as d:
    t0=time.time()
    e.import_busybox(); say(f"imported {time.time()-t0:.1f}")
    f=Path(d); (f/"compose.yml").write_text(Path("demo/shop.yml").read_text())
    e.docker("run","-d","--name","old-backup","busybox:1.35","sh","-c","exit 2")
    e.compose(f,"up","-d"); say(f"up {time.time()-t0:.1f}")
    with Site(e.host, f/"site") as s:
        say(f"site {time.time()-t0:.1f}")
        st=Stage(e,s,f,say=say,paint=Paint(on=False))
        try:
            story.play(st)
        except Exception as x: say(repr(x))
        for m in st.measured+st.noted: say(str(m))
        say(f"done {time.time()-t0:.1f}")
        say(s.log("alerting")[-3000:])
say(f"end {time.time()-t0:.1f}")
