# Writes cjk-sc.otf, the face "Noto Sans CJK SC" of the collection, and set-rare.txt, the characters that
# NotoSansSC_subset.ttf lacks.
import sys

from fontTools.ttLib import TTCollection, TTFont

RANGES = [
    (0x3003, 0x3007), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),  # marks, Bopomofo, small kana
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),  # ideographs
    (0xFF5F, 0xFFEF),  # half-width kana
]

collection = TTCollection(sys.argv[1])
face = next(face for face in collection.fonts if face["name"].getDebugName(4) == "Noto Sans CJK SC")
common = set(TTFont("NotoSansSC_subset.ttf").getBestCmap())
wanted = {c for c in face.getBestCmap() if any(low <= c <= high for low, high in RANGES)} - common
open("set-rare.txt", "w").write("\n".join(f"{c:X}" for c in sorted(wanted)))
face.save("cjk-sc.otf")
