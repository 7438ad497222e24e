"""A reader whose program is killed: places a landmark, says so when that is on the disk, and waits to be killed."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "SlicerModule" / "LandmarkLabel"))

from LandmarkLabelLib.drafts import DraftStore
from LandmarkLabelLib.loop import ReadingLoop

address, folder = sys.argv[1], Path(sys.argv[2])
loop = ReadingLoop(DraftStore(folder / "drafts"), folder / "images", lambda what: None, "killed")
loop.connect(address)
while not loop.worklist.items:
    loop.poll()
    time.sleep(0.005)
loop.open("cephalometric_0022")
while loop.open_image is None or not loop.open_image.detected:
    loop.poll()
    time.sleep(0.005)
x, y, z = loop.open_image.reading["S"].position
loop.mark_missing("Po")
loop.place("S", (x + 1.2345678, y - 2.3456789, z))
wanted = loop.open_image.reading["S"].position
while True:
    draft = DraftStore(folder / "drafts").load(address, "cephalometric_0022")
    points = {point["label"]: point for point in draft.reading["points"]} if draft else {}
    if draft and tuple(points["S"]["position"]) == wanted:
        break
    time.sleep(0.001)
print("placed", *(repr(value) for value in wanted), flush=True)
time.sleep(60)
