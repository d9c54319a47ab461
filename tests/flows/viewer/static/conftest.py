"""A finished run, served as it is to a person, and a page on which a test clicks as one does."""

import shutil
import threading
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import uvicorn
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import orimap
from orimap.flows.viewer.run_routes import run_app

MOST_SECONDS = 20
# What the pages are served with: nothing from elsewhere, no script within a page.
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'"
DRAG_MS = 20


class Server(uvicorn.Server):
    """A server in a thread of the tests."""

    def __init__(self, app, port=0):
        super().__init__(
            uvicorn.Config(
                app, port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=10
            )
        )
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        while not self.started:
            self.thread.join(0.01)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.should_exit = True
        self.thread.join()


class Page:
    """What a person does with the page, and what stands on it."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address
        self.open()

    def open(self):
        self.driver.get(self.address)
        self.until(lambda: self.find("#pattern").get_attribute("data-shown"))

    def until(self, true):
        """Wait until something is so; return what it gave."""
        return WebDriverWait(self.driver, MOST_SECONDS, 0.02).until(lambda _: true())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        """Return what stands in all elements, read at once: the page may be writing them anew."""
        code = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
        return self.driver.execute_script(code, selector)

    def text(self, selector):
        return next(iter(self.texts(selector)), "")

    def click(self, selector):
        self.driver.execute_script(
            "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector
        )
        self.find(selector).click()

    def choose(self, selector, title):
        """Click a radio button that looks like a piece of a row, by its words."""
        pieces = self.all(f"{selector} label")
        next(piece for piece in pieces if piece.text == title).click()

    def layer(self, value):
        self.click(f"#layer option[value='{value}']")
        self.until(lambda: self.find("#map").get_attribute("data-shown") == value)

    def keys(self, *keys):
        self.find("body").send_keys(*keys)

    def place(self, canvas, shape, y, x):
        """Return where the middle of a pixel is on its canvas, from the middle of that."""
        size = self.find(canvas).size
        scale = min(size["width"] / shape[1], size["height"] / shape[0])
        return [round(scale * (n - (m - 1) / 2)) for n, m in ((x, shape[1]), (y, shape[0]))]

    def point(self, canvas, shape, y, x):
        """Move the pointer to a pixel of a canvas; returns the actions, to go on with."""
        self.driver.execute_script("arguments[0].scrollIntoViewIfNeeded()", self.find(canvas))
        moved = ActionChains(self.driver, duration=DRAG_MS)
        place = self.place(canvas, shape, y, x)
        return moved.move_to_element_with_offset(self.find(canvas), *place)

    def drag(self, canvas, shape, start, end):
        self.point(canvas, shape, *start).click_and_hold().perform()
        self.point(canvas, shape, *end).release().perform()

    def colour(self, canvas, shape, y, x):
        """Return the colour of a pixel of a canvas: #rrggbb."""
        right, down = self.place(canvas, shape, y, x)
        code = """const [canvas, right, down] = arguments;
            const [x, y] = [canvas.width / 2 + right, canvas.height / 2 + down];
            return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)];"""
        return "#" + bytes(self.driver.execute_script(code, self.find(canvas), right, down)).hex()

    @property
    def shown(self):
        """What the pattern was asked for: {"y": "3", ...}, with its path as "path"."""
        address = urlsplit(self.find("#pattern").get_attribute("data-shown"))
        return {"path": address.path} | {n: v[0] for n, v in parse_qs(address.query).items()}

    def until_shown(self, **expected):
        expected = {name: str(value) for name, value in expected.items()}
        self.until(lambda: expected.items() <= self.shown.items())


@pytest.fixture(scope="session")
def three_grains(sharing_workers, bare_pages, tmp_path_factory):
    """Results of a simulated, calibrated scan of three grains; not to be changed."""
    folder = tmp_path_factory.mktemp("viewer")
    scan = orimap.simulate(
        folder / "scan.zarr",
        scan=(12, 14), detector=(48, 46), grains=3, dose=3000, overlap=1.5, seed=3, quiet=True,
    )  # fmt: skip
    with sharing_workers(), bare_pages():
        return orimap.run(str(scan), folder / "results", k="1:5", workers=1, quiet=True)


@pytest.fixture(scope="session")
def counts(three_grains):
    """All patterns, (scan_y, scan_x, detector_y, detector_x)."""
    return three_grains.patterns.values.astype(float)


@pytest.fixture(scope="session")
def serve():
    """Return a context that serves a folder of results; it gives the address of the page."""

    def serve(folder, *, port=0, **options):
        app = run_app(Path(folder), **options)

        async def guarded(scope, receive, send):
            async def send_with_policy(message):
                if message["type"] == "http.response.start":
                    names = [name for name, _ in message["headers"]]
                    if b"content-security-policy" not in names:
                        added = (b"content-security-policy", POLICY.encode())
                        message["headers"] = [*message["headers"], added]
                await send(message)

            await app(scope, receive, send_with_policy)

        return Server(guarded, port)

    return serve


@pytest.fixture(scope="session")
def serve_app():
    """Return a context that serves an application as it is; it gives the ``port``."""
    return Server


@pytest.fixture(scope="session")
def served(serve, three_grains):
    """The address of the page of three grains."""
    with serve(three_grains.folder) as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture
def make_page(browser):
    """Return what opens a page by its address."""
    return partial(Page, browser)


@pytest.fixture
def page(make_page, served):
    """The page of three grains, just opened."""
    return make_page(served)


@pytest.fixture
def own_page(browser, make_page, serve, three_grains, tmp_path):
    """A page of results that may be changed; returns it and their folder."""
    folder = tmp_path / "results"
    shutil.copytree(three_grains.folder, folder)
    with serve(folder) as server:
        yield make_page(f"http://127.0.0.1:{server.port}/"), folder
        browser.get("about:blank")


@pytest.fixture(scope="session")
def disc():
    """Return which pixels have their middle within a disc, (48, 46) array of bool."""

    def disc(y, x, radius, inner=0.0):
        rows, columns = np.mgrid[:48, :46]
        away = np.hypot(rows - y, columns - x)
        return (away <= radius) & (away >= inner)

    return disc
