"""The faults at full size: what scripts/test.sh sets for them is what the tests read and what the document tells."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).parents[2]
NAMES = r"((?:FAULTS|SOAK)_[A-Z_]+)"


class Long(unittest.TestCase):
    def test_the_sizes_are_read_and_told(self):
        script = (ROOT / "scripts/test.sh").read_text()
        full = dict(re.findall(NAMES + r"=\$\{\1:-([0-9.]+)\}", script))
        read = dict(found for path in (ROOT / "tests/cluster").glob("*.py")
                    for found in re.findall(rf'environ\.get\("{NAMES}", ([0-9.]+)\)', path.read_text()))
        told = {}
        for line in (ROOT / "docs/RELIABILITY.md").read_text().splitlines():
            if re.match(r"\| `(FAULTS|SOAK)_", line):
                names, usual, large = (it.strip() for it in line.split("|")[1:4])
                told |= dict(zip(re.findall(NAMES, names), zip(usual.split(", "), large.split(", "))))
        self.assertGreater(len(full), 5)
        self.assertEqual(set(read), set(told))
        self.assertLessEqual(set(full), set(read))
        for name in read:
            self.assertEqual((read[name], full.get(name, read[name])), told[name], name)


if __name__ == "__main__":
    unittest.main()
