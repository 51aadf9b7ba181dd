"""The report of a short training as a browser shows it: Chromium draws it, and nothing is missing or fetched."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
OSPREY = pathlib.Path(os.environ.get("OSPREY_BUILD", ROOT / "build")) / "osprey"
WIDTH, HEIGHT = 1200, 5000


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def chromium(folder, page, *options):
    return run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               f"--user-data-dir={folder}/profile",
               f"--window-size={WIDTH},{HEIGHT}", *options, page.as_uri())


class ReportInABrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        folder = pathlib.Path(cls.temporary.name)
        run(OSPREY, "synth", folder / "set", "--images", 24, "--valid", 8)
        run(OSPREY, "train", ROOT / "cfg" / "quickstart.cfg", folder / "set" / "synth.data", "--out", folder / "run",
            "--max-batches", 12, "--map-every", 6)
        cls.page = folder / "run" / "report.html"
        chromium(folder, cls.page, f"--screenshot={folder}/page.png")
        cls.dom = chromium(folder, cls.page, "--dump-dom")
        with Image.open(folder / "page.png") as image:
            cls.picture = image.convert("RGB")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_all_sections_are_there(self):
        titles = re.findall(r"<h2>(.*?)</h2>", self.dom)
        for title in ("Curves", "Classes", "What is taken for what", "The images with the most mistakes",
                      "Shapes of the boxes", "Labels"):
            self.assertIn(title, titles)

    def test_nothing_is_fetched(self):
        text = self.page.read_text()
        self.assertEqual(set(re.findall(r"(?:src|href)=\"(.{5})", text)), {"data:"})
        self.assertNotIn("<script", text)
        self.assertNotRegex(text, r"url\(|@import")

    def test_curves_and_photographs_are_drawn(self):
        self.assertEqual(self.picture.size[0], WIDTH)
        colours = dict((colour, count) for count, colour in self.picture.getcolors(WIDTH * HEIGHT))
        self.assertGreater(colours.get((0x1F, 0x6F, 0xB4), 0), 200)  # the loss, and bars of labels
        self.assertGreater(colours.get((0xD1, 0x49, 0x5B), 0), 50)   # mAP
        self.assertGreater(len(colours), 5000)                       # pictures have many, a page of text has few

    def test_the_page_is_as_wide_as_the_window(self):
        """No table or picture pushes the page beyond its frame: the margins are of the background's colour."""
        background = (0xF4, 0xF5, 0xF7)
        margin = [self.picture.getpixel((WIDTH - 30, y)) for y in range(100, 2000, 50)]
        self.assertGreater(margin.count(background), 0.9 * len(margin))


if __name__ == "__main__":
    unittest.main()
