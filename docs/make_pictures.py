"""Make the README's two pictures from the report of a finished home: `python docs/make_pictures.py runs`.

The home is one of the embedded miniature, so that the pictures may be published: real frames have owners."""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from reports.media.sheets import LABEL, LINE, TILE

DOCS = Path(__file__).parent
ROWS = 4
"""Rows of the contact sheet that are kept: the truth, the copied first mask, and the first two variants."""

WIDTH = 960
"""Largest width of either picture, in pixels."""

WARNING = "Filled: embedded miniature, not a benchmark result. Hollow: quoted for real DAVIS 2016."
"""Stamped on the figure, so that it is not misread where the caption is missing."""

ASPECT = 80 / 128
"""Height of an embedded frame over its width."""


def main() -> None:
    """Read the command line and write `docs/contact-sheet.png` and `docs/accuracy-speed.png`."""
    parser = argparse.ArgumentParser(description="Make the README's pictures from a finished home.")
    parser.add_argument("home", type=Path, help="home of a finished run on the embedded data")
    parser.add_argument("--study", default="ablation", help="name of the study (default: %(default)s)")
    parser.add_argument("--sequence", default="mini-walker-pole", help="sequence of the sheet (default: %(default)s)")
    options = parser.parse_args()
    report = options.home / "reports" / options.study
    sheet = Image.open(report / "sheets" / "davis16-val" / f"{options.sequence}.png").convert("RGB")
    save(first_rows(sheet, ROWS), DOCS / "contact-sheet.png")
    figure = Image.open(report / "figures" / "speed-davis16-val.png").convert("RGB")
    font = ImageFont.load_default(size=figure.width // 50)
    ImageDraw.Draw(figure).text((figure.width // 10, figure.width // 100), WARNING, (160, 0, 0), font)
    save(figure, DOCS / "accuracy-speed.png")


def first_rows(sheet: Image.Image, count: int) -> Image.Image:
    """Return the line of frame names and the first rows of a contact sheet."""
    columns = (sheet.width - LABEL) // TILE
    return sheet.crop((0, 0, LABEL + columns * TILE, LINE + count * round(TILE * ASPECT)))


def save(picture: Image.Image, path: Path) -> None:
    """Shrink a picture to WIDTH if it is wider, reduce it to 256 colors and write it."""
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    picture.quantize(256).save(path, optimize=True)
    print(f"{path} ({path.stat().st_size // 1000} kB)")


if __name__ == "__main__":
    main()
