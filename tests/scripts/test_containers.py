"""The Dockerfiles, as far as they can be checked without a container engine."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).parents[2]
SERVICES = {"asr": 8001, "tts": 8002}


def dockerfile(service):
    return (REPOSITORY / f"services/{service}/Dockerfile").read_text()


class Images(unittest.TestCase):
    def test_hadolint_has_nothing_to_say(self):
        program = shutil.which("hadolint") or REPOSITORY / ".native/bin/hadolint"
        if not pathlib.Path(program).exists():
            if os.environ.get("CI") == "true":
                self.fail("hadolint is missing")
            self.skipTest("hadolint is missing: scripts/setup.sh --tests installs it")
        files = [REPOSITORY / f"services/{service}/Dockerfile" for service in SERVICES]
        ran = subprocess.run([program, *files], capture_output=True, text=True, timeout=60)
        self.assertEqual((ran.returncode, ran.stdout), (0, ""))
        bad = subprocess.run([program, "-"], input="FROM debian\nRUN cd /tmp\n", capture_output=True, text=True, timeout=60)
        self.assertNotEqual(bad.returncode, 0, "hadolint accepts everything")

    def test_what_is_copied_is_in_the_context(self):
        ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
        for service in SERVICES:
            text = dockerfile(service)
            for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
                for source in line.split()[:-1]:
                    self.assertTrue((REPOSITORY / source).exists(), source)
                    self.assertNotIn(source.split("/")[0], ignored)
            # What was fetched in an earlier layer must not be covered by what lies beside the repository.
            self.assertIn(".native", ignored)

    def test_compiled_sources_are_in_the_context(self):
        ignored = {it for it in (REPOSITORY / ".dockerignore").read_text().splitlines() if "/" not in it.strip("/") and "*" not in it}
        manifest = (REPOSITORY / "Cargo.toml").read_text()
        members = re.findall(r'"([^"]+)"', re.search(r"^members = \[(.*)\]", manifest, re.M).group(1))
        self.assertEqual({it.split("/")[0] for it in members} & ignored, set())

    def test_set_up_needs_no_more_than_its_layer_has(self):
        before = {dockerfile(service).split("RUN scripts/setup.sh")[0].split("WORKDIR /src\n")[1] for service in SERVICES}
        (layer,) = {it.split("\n", 1)[1] for it in before}
        copied = [line.split()[1:] for line in layer.splitlines() if line.startswith("COPY ")]
        native = REPOSITORY / ".native"
        if not (native / "lib").is_dir() or not shutil.which("cargo"):
            self.skipTest("nothing is set up: scripts/setup.sh")
        with tempfile.TemporaryDirectory() as folder:
            for *sources, target in copied:
                (pathlib.Path(folder) / target).mkdir(exist_ok=True)
                for source in sources:
                    shutil.copy(REPOSITORY / source, pathlib.Path(folder) / target)
            # Everything is in place, so that nothing is fetched.
            ran = subprocess.run([f"{folder}/scripts/setup.sh", "--no-system-packages"], capture_output=True, text=True, timeout=100,
                                 env={**os.environ, "NATIVE_DIR": str(native.resolve())})
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_the_layout_is_the_installed_one(self):
        for service, port in SERVICES.items():
            text = dockerfile(service)
            self.assertIn(f'ENTRYPOINT ["/opt/voice/bin/{service}"]', text)
            self.assertEqual(text.count(" /out /opt/voice\n"), 2)
            self.assertIn(f"EXPOSE {port}\n", text)
            self.assertIn(f"VOICE__SERVER__PORT={port}", text)
            self.assertEqual(re.findall(r"^FROM .* AS (\w[\w-]*)$", text, re.M)[-1], "cpu", "the default is not the CPU")
            self.assertRegex(text, r"(?m)^USER 10001:10001$")


if __name__ == "__main__":
    unittest.main()
