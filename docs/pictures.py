"""Draw the pictures of the README and of these pages from simulated scans.

    make pictures

which is the demo, a smaller scan of bent grains, and ``python docs/pictures.py DEMO BENT``, with
the folders of their results. The pictures are small: figures of the report with fewer pixels and
colours, two of their own, and the page of the viewer, for which Chromium and its driver are needed.
"""

import argparse
import os
import shutil
import threading
import time
from pathlib import Path

import matplotlib
import numpy as np
import uvicorn
from matplotlib import pyplot as plt
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from orimap.flows.viewer.run_routes import run_app
from orimap.tasks.decide.components.shares import full_weights
from orimap.tasks.decide.grains.stored import read_dark_fields
from orimap.tasks.report.figures.images import label_image, pattern_levels
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store.open_results import open_results

HERE = Path(__file__).parent
PICTURES = HERE / "use" / "pictures"
# Figures of the report that the pages show as they are.
OF_THE_REPORT = ("distinct", "held_out", "overlap", "decomposition")
WIDEST_PX = 1000
COLOURS = 256
SHOWN = 3
WINDOW_PX = (1440, 1120)


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="results of orimap demo")
    parser.add_argument("bent", type=Path, help="results of a scan of bent grains")
    asked = parser.parse_args()
    matplotlib.use("Agg")
    PICTURES.mkdir(exist_ok=True)
    shrink(asked.demo / "figures" / "clusters.png", HERE / "result.png")
    for name in OF_THE_REPORT:
        shrink(asked.demo / "figures" / f"{name}.png", PICTURES / f"{name}.png")
    for name, draw, results in (
        ("dark_fields", draw_dark_fields, asked.demo),
        ("bent", draw_bent, asked.bent),
    ):
        figure = draw(results)
        figure.savefig(PICTURES / f"{name}.png", dpi=120)
        shrink(PICTURES / f"{name}.png", PICTURES / f"{name}.png")
    photograph_viewer(asked.demo, PICTURES / "viewer.png")
    shrink(PICTURES / "viewer.png", PICTURES / "viewer.png", quantised=False)


def shrink(source: Path, target: Path, *, quantised: bool = True) -> None:
    """Write a picture again, no wider than needed and, but for pale ones, in few colours."""
    with Image.open(source) as picture:
        small = picture.convert("RGB")
    small.thumbnail((WIDEST_PX, WIDEST_PX))
    if not quantised:
        small.save(target, optimize=True)
        return
    # Of Pillow's ways the one that keeps greys grey.
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    small.quantize(COLOURS, method=method, dither=dither).save(target, optimize=True)


def photograph_viewer(results: Path, target: Path) -> None:
    """Save how the viewer looks, at the boundary that is most doubtful."""
    places = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in places:
        print("no picture of the viewer: apt install chromium chromium-driver")
        return
    os.environ["SE_OFFLINE"] = "true"
    server = uvicorn.Server(uvicorn.Config(run_app(results), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    options = ChromeOptions()
    options.binary_location = places[0]
    for setting in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(setting)
    driver = Chrome(options, Service(places[1]))
    try:
        driver.set_window_size(*WINDOW_PX)
        driver.get(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/")
        wait = WebDriverWait(driver, 60)
        pattern = driver.find_element("id", "pattern")
        wait.until(lambda _: pattern.get_attribute("data-shown"))
        driver.find_element("id", "doubtful").click()
        wait.until(lambda _: driver.find_elements("id", "notice-doubt"))
        driver.find_element("id", "layer").send_keys(Keys.HOME)
        driver.execute_script("document.activeElement.blur()")
        wait.until(lambda _: len(driver.find_elements("css selector", "#shares li")) > 1)
        driver.save_screenshot(str(target))
    finally:
        driver.quit()
        server.should_exit = True
        thread.join()


def draw_dark_fields(results: Path) -> plt.Figure:
    """Draw where some reflections are on the detector, and where over the scan they are bright.

    For each of the largest patterns the reflection that tells most of it: the brightest.
    """
    tree = open_results(results)
    fields = read_dark_fields(results / "analysis.zarr")
    clusters, grains = tree["clusters"], tree["grains"]
    of_component = clusters["component_cluster"].values
    share = grains["component_reflection"].values
    places = [int(share[of_component == cluster].sum(0).argmax()) for cluster in range(SHOWN)]
    colours = cluster_colours(int(clusters.sizes["cluster"]))
    figure, axes = plt.subplots(1, SHOWN + 2, figsize=(10, 2.5), layout="constrained")
    mean = tree["analysed"]["detector_mean"].values
    axes[0].imshow(pattern_levels(mean), cmap="gray")
    axes[0].set_title("mean of all patterns", fontsize=9)
    for at, colour, shown in zip(places, colours, axes[1:], strict=False):
        y, x = fields.places[at]
        axes[0].add_patch(plt.Circle((x, y), 6, fill=False, color=colour, linewidth=1.8))
        dark_field = (fields.scan @ fields.net[:, at]).reshape(fields.scan_shape)
        shown.imshow(dark_field, cmap="gray", vmin=0)
        shown.set_title("dark field of one reflection", fontsize=9)
        frame(shown, colour)
    axes[-1].imshow(label_image(clusters["cluster_label"].values, colours))
    axes[-1].set_title("the map", fontsize=9)
    for bare in (axes[0], axes[-1]):
        frame(bare, "#c4c8cf")
    return figure


def draw_bent(results: Path) -> plt.Figure:
    """Draw the components of dark fields of bent grains, and the grains they are joined to."""
    tree = open_results(results)
    clusters, grains = tree["clusters"], tree["grains"]
    of_component = clusters["component_cluster"].values
    weights = grains["scan_weight"].values[..., of_component >= 0]
    flat = weights.reshape(-1, weights.shape[-1])
    strongest = (flat / full_weights(flat)).argmax(axis=1).reshape(weights.shape[:2])
    label = clusters["cluster_label"].values
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained")
    for shown, labels, title in (
        (axes[0], strongest, f"{len(np.unique(strongest))} components of the fit"),
        (axes[1], label, f"{len(np.unique(label[label >= 0]))} distinct patterns"),
    ):
        shown.imshow(label_image(labels, cluster_colours(int(labels.max()) + 1)))
        shown.set_title(title, fontsize=9)
        frame(shown, "#c4c8cf")
    return figure


def frame(axes: plt.Axes, colour: str) -> None:
    """Leave of some axes a frame only."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


if __name__ == "__main__":
    main()
