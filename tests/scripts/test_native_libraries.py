"""`scripts/native_libraries.py` with a small wheel of our own: installs, repairs, refuses what is not as pinned."""

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "native_libraries.py"
LIBRARY = b"\x7fELF and so on" * 1000


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def make_wheel(path):
    metadata = "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("sample.libs/libsample.so.1", LIBRARY)
        wheel.writestr("sample.libs/unwanted.so", b"unwanted")
        wheel.writestr("sample-1.0.dist-info/METADATA", metadata)
        wheel.writestr("sample-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("sample-1.0.dist-info/licenses/LICENSE", "do as you like")
        wheel.writestr("sample-1.0.dist-info/RECORD", "")


class NativeLibraries(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.prefix = self.folder / "native"
        wheel = self.folder / "sample-1.0-py3-none-any.whl"
        make_wheel(wheel)
        self.pinned = {
            "group": "base", "name": "sample", "version": "1.0", "why": "tests",
            "sha256": sha256(wheel.read_bytes()), "bytes": wheel.stat().st_size,
            "files": [{
                "from": "sample.libs/libsample.so.1", "to": "lib/libsample.so.1",
                "sha256": sha256(LIBRARY), "bytes": len(LIBRARY),
            }],
            "links": {"lib/libsample.so": "libsample.so.1"},
            "empty_archives": ["lib/libnothing.a"],
        }

    def run_install(self, python=sys.executable, group="base"):
        """The exit code and everything printed. The module is loaded with our list in place of the shipped one."""
        spec = importlib.util.spec_from_file_location("native_libraries", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.LOCK_FILE = self.folder / "native.json"
        module.LOCK_FILE.write_text(json.dumps({"wheels": [self.pinned]}))
        printed = io.StringIO()
        arguments = ["--python", python, "install", "--prefix", str(self.prefix), group]
        before = {it: os.environ.get(it) for it in ("PIP_NO_INDEX", "PIP_FIND_LINKS")}
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.folder))
        real_run = subprocess.run
        try:
            module.subprocess.run = lambda command, check: real_run(command, check=check, capture_output=True)
            sys.argv, argv = ["native_libraries.py", *arguments], sys.argv
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                status = module.main()
        finally:
            sys.argv = argv
            module.subprocess.run = real_run
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
        return status, printed.getvalue()

    def library(self):
        return self.prefix / "lib/libsample.so.1"

    def leftovers(self):
        return [it for it in self.prefix.rglob("*") if "incoming" in it.name]

    def test_it_installs_what_is_listed_and_nothing_else(self):
        status, printed = self.run_install()
        self.assertEqual(status, 0, printed)
        self.assertEqual(sorted(it.name for it in (self.prefix / "lib").iterdir()),
                         ["libnothing.a", "libsample.so", "libsample.so.1"])
        self.assertEqual((self.prefix / "lib/libsample.so").read_bytes(), LIBRARY)
        self.assertEqual((self.prefix / "lib/libnothing.a").read_bytes(), b"!<arch>\n")
        notices = [it.name for it in (self.prefix / "licenses/sample-1.0").iterdir()]
        self.assertIn("sample-1.0.dist-info_licenses_LICENSE", notices)

    def test_a_second_run_asks_nobody(self):
        self.run_install()
        status, printed = self.run_install(python="/nonexistent/python")
        self.assertEqual(status, 0, printed)
        self.assertIn("everything is in place", printed)

    def test_a_touched_file_is_checked_and_kept(self):
        self.run_install()
        os.utime(self.library(), (1, 1))
        status, printed = self.run_install(python="/nonexistent/python")
        self.assertEqual(status, 0, printed)
        self.assertIn("already there, checked", printed)

    def test_a_changed_file_is_replaced(self):
        self.run_install()
        self.library().write_bytes(LIBRARY[:-1] + b"!")
        status, printed = self.run_install()
        self.assertEqual(status, 0, printed)
        self.assertEqual(self.library().read_bytes(), LIBRARY)

    def test_a_lost_link_is_made_again(self):
        self.run_install()
        (self.prefix / "lib/libsample.so").unlink()
        self.assertEqual(self.run_install()[0], 0)
        self.assertTrue((self.prefix / "lib/libsample.so").is_symlink())

    def test_an_archive_with_another_sum_is_refused(self):
        self.pinned["sha256"] = sha256(b"another archive")
        status, printed = self.run_install()
        self.assertEqual(status, 1)
        self.assertIn("could not download", printed)
        self.assertFalse(self.library().exists())
        self.assertEqual(self.leftovers(), [])

    def test_a_file_with_another_sum_is_refused(self):
        self.pinned["files"][0]["sha256"] = sha256(b"another library")
        status, printed = self.run_install()
        self.assertEqual(status, 1)
        self.assertIn("has sha256", printed)
        self.assertFalse(self.library().exists())
        self.assertEqual(self.leftovers(), [])

    def test_what_an_interrupted_run_left_is_removed(self):
        (self.prefix / "lib").mkdir(parents=True)
        (self.prefix / "lib/.incoming-abc").write_bytes(b"half")
        (self.prefix / "downloads/incoming-xyz").mkdir(parents=True)
        self.assertEqual(self.run_install()[0], 0)
        self.assertEqual(self.leftovers(), [])

    def test_a_full_disk_is_told_before_it_is_full(self):
        self.pinned["bytes"] = 1 << 60
        status, printed = self.run_install()
        self.assertEqual(status, 1)
        self.assertIn("free", printed)

    def test_an_unknown_group_is_named(self):
        status, printed = self.run_install(group="bass")
        self.assertEqual(status, 1)
        self.assertIn("bass", printed)


class ShippedList(unittest.TestCase):
    def test_everything_is_pinned(self):
        wheels = json.loads(SCRIPT.with_name("native.json").read_text())["wheels"]
        for wheel in wheels:
            for it in [wheel, *wheel["files"]]:
                self.assertRegex(it["sha256"], "^[0-9a-f]{64}$")
                self.assertGreater(it["bytes"], 0)
            self.assertTrue(wheel["files"] or "tree" in wheel, wheel["name"])


if __name__ == "__main__":
    unittest.main()
