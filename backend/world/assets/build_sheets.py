"""Regenerates the art sheets of the demo world from three npm packages.

    npm pack @iconify-json/noto@1.2.9 @iconify-json/twemoji@1.2.5 @lobehub/fluent-emoji-3d@1.1.0
    (unpack each into NOTO, TWEMOJI and FLUENT)
    pip install resvg-py pillow
    python build_sheets.py NOTO/package TWEMOJI/package FLUENT/package

One row per sheet, square tiles; every drawing is trimmed, fitted and centred, so that the
renderer can place accessories by fractions of a tile.
"""
import io
import json
import sys
from pathlib import Path

import resvg_py
from PIL import Image

TILE = 144
FIT = 140
# (tile, icon name in iconify, code point in Fluent); the order is that of `world::art::Tile`.
TILES = [
    ("dog", "dog-face", "1f436"),
    ("cat", "cat-face", "1f431"),
    ("rabbit", "rabbit-face", "1f430"),
    ("bear", "bear", "1f43b"),
    ("fox", "fox", "1f98a"),
    ("frog", "frog", "1f438"),
    ("car", "automobile", "1f697"),
    ("apple", "red-apple", "1f34e"),
    ("hat", "top-hat", "1f3a9"),
    ("crown", "crown", "1f451"),
    ("bow", "ribbon", "1f380"),
]


def vector(package: Path, name: str) -> Image.Image:
    data = json.loads((package / "icons.json").read_text())
    icon = data["icons"][name]
    side = icon.get("width", data.get("width", 16))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {side} {side}" width="512" height="512">{icon["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=512, height=512))
    return Image.open(io.BytesIO(png)).convert("RGBA")


def raster(package: Path, code: str) -> Image.Image:
    return Image.open(package / "assets" / f"{code}.webp").convert("RGBA")


def fit(image: Image.Image) -> Image.Image:
    image = image.crop(image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
    scale = FIT / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    image = image.convert("RGBa").resize(size, Image.LANCZOS).convert("RGBA")
    tile = Image.new("RGBA", (TILE, TILE))
    tile.paste(image, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile


def main() -> None:
    noto, twemoji, fluent = (Path(path) for path in sys.argv[1:4])
    here = Path(__file__).parent
    sheets = {
        "noto": [vector(noto, name) for _, name, _ in TILES],
        "twemoji": [vector(twemoji, name) for _, name, _ in TILES],
        "fluent": [raster(fluent, code) for _, _, code in TILES],
    }
    for style, images in sheets.items():
        sheet = Image.new("RGBA", (TILE * len(TILES), TILE))
        for index, image in enumerate(images):
            sheet.paste(fit(image), (TILE * index, 0))
        sheet.save(here / f"{style}.webp", lossless=True, quality=100, method=6)


main()
