"""Prints the rows of a spreadsheet as JSON. An XLSX file is read with openpyxl, which says what type each cell has; a CSV file
with Python's csv."""

import csv
import json
import sys

import openpyxl


def shown(cell):
    """Type and value of a cell: s is a text, d a date or a time, b a boolean, n a number or nothing, f a formula."""
    value = cell.value.isoformat() if cell.data_type == "d" else cell.value
    return None if value is None else [cell.data_type, value]


def read(path):
    if path.endswith(".csv"):
        with open(path, encoding="utf-8-sig", newline="") as file:
            return {"rows": list(csv.reader(file, strict=True))}
    sheet = openpyxl.load_workbook(path).active
    return {"frozen": sheet.freeze_panes, "rows": [[shown(cell) for cell in row] for row in sheet.iter_rows()]}


json.dump(read(sys.argv[1]), sys.stdout)
