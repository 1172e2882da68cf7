"""What it does to its process."""

from __future__ import annotations

from process_life import *  # noqa: F403
from process_life import Package

PACKAGE = Package(
    name="trifold_diffusion",
    load="tf.Diffusion('demo:picture', threads=1)",
    setup="""
tiny = dict(steps=1, guidance=1, seed=1)
endless = dict(tiny, steps=1000)
def busy(_):
    # The process ends while this is running, most likely.
    started.set()
    return [number for number in range(300_000)]
""",
    call="str(model.generate('a star', **tiny))",
    answer="<Picture 128x128, seed 1: 'a star'>",
    long=("model.generate('a star', **endless)", "asyncio.run(model.agenerate('a star', **endless))"),
    stoppable="model.generate('a star', cancel=token, **endless)",
    uses=("model.generate('a star')", "model.generate_batch('a star', 2)", "model.path", "model.defaults"),
    endings=(
        "model.generate('a star', **endless, on_step=busy)",
        "[started.set() or tf.Diffusion(threads=1) for _ in iter(int, 1)]",
    ),
    slow=("model.generate('a star', on_step=slow, **tiny)",),
    tour="""
model.generate("a star", **tiny)
model.generate_batch("a star", 2, **tiny)
""",
)
