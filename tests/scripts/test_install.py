"""`scripts/install.sh` and `uninstall.sh` in a scratch root, with stand-ins for what is big."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).parents[2]
SYSTEM = "etc/systemd/system"


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


class Installation(unittest.TestCase):
    """Stand-ins for what is big: here only the places count."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.root = self.folder / "root"
        self.build("first")
        for name in ("lib/libonnxruntime.so.1.2.3", "models/silero_vad.onnx", "models/silero_vad_file.onnx", "models/smart.onnx", "licenses/it/LICENSE"):
            write(self.folder / "native" / name, name)
        (self.folder / "native/lib/libonnxruntime.so").symlink_to("libonnxruntime.so.1.2.3")

    def build(self, what):
        for program in ("asr", "tts"):
            write(self.folder / "built" / program, f"#!/bin/sh\necho {what}\n", 0o755)

    def run_script(self, script, *arguments, code=0, path=""):
        command = [REPOSITORY / "scripts" / script, *arguments, f"--prefix-root={self.root}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/",
                             env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"})
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran.stdout if code == 0 else ran.stderr

    def install(self, *arguments, **options):
        return self.run_script("install.sh", "--from", f"{self.folder}/built", "--native", f"{self.folder}/native", *arguments,
                               **options)

    def uninstall(self, *arguments):
        return self.run_script("uninstall.sh", *arguments)

    def files(self):
        return sorted(str(it.relative_to(self.root)) for it in self.root.rglob("*") if it.is_file() or it.is_symlink())

    def state(self):
        """Everything that a second run must not touch."""
        return {it: (it.lstat().st_mtime_ns, it.lstat().st_ino) for it in self.root.rglob("*") if it.is_file()}

    def read(self, path):
        return (self.root / path).read_text()

    def mode(self, path):
        return stat.S_IMODE((self.root / path).stat().st_mode)


class Install(Installation):
    def test_everything_is_in_its_place(self):
        self.install("--asr", "2", "--tts=2")
        files = self.files()
        for path in ("opt/voice/bin/asr", "opt/voice/bin/tts", "opt/voice/lib/libonnxruntime.so", "opt/voice/models/silero_vad.onnx",
                     "opt/voice/licenses/it/LICENSE", "etc/voice/asr.yaml", "etc/voice/tts.yaml", "etc/voice/asr.env",
                     f"{SYSTEM}/asr@.service", f"{SYSTEM}/voice.target"):
            self.assertIn(path, files)
        self.assertTrue((self.root / "opt/voice/lib/libonnxruntime.so").is_symlink())
        self.assertEqual(self.mode("opt/voice/bin/asr"), 0o755)
        # They may hold keys.
        self.assertEqual(self.mode("etc/voice/tts.yaml"), 0o640)
        self.assertEqual(self.mode("etc/voice"), 0o750)
        wanted = [f"{SYSTEM}/voice-agent-asr.target.wants/asr@8001.service", f"{SYSTEM}/voice-agent-asr.target.wants/asr@8011.service",
                  f"{SYSTEM}/voice-agent-tts.target.wants/tts@8002.service", f"{SYSTEM}/voice-agent-tts.target.wants/tts@8012.service"]
        self.assertEqual([it for it in files if "@80" in it], wanted)

    def test_settings_know_where_they_are(self):
        self.install()
        self.assertIn("\nhome: /opt/voice\n", self.read("etc/voice/asr.yaml"))
        self.assertIn("\n  store: /var/lib/voice/voices\n", self.read("etc/voice/tts.yaml"))
        self.assertIn("\n  host: 127.0.0.1\n", self.read("etc/voice/tts.yaml"))
        self.install("--listen", "0.0.0.0")
        self.assertIn("\n  host: 0.0.0.0\n", self.read("etc/voice/tts.yaml"))
        self.install()
        self.assertIn("\n  host: 0.0.0.0\n", self.read("etc/voice/tts.yaml"), "a later run forgot where to listen")

    def test_a_second_run_changes_nothing(self):
        (self.root / "etc/nginx").mkdir(parents=True)
        self.install("--asr", "2")
        before = self.state()
        told = self.install()
        after = self.state()
        made_again = ("upstreams.conf", "instances.json", "instances.tsv.lock")
        self.assertEqual([it for it in before if before[it] != after[it] and it.name not in made_again], [])
        done = [line for line in told.splitlines() if line.split(" ")[0] in ("install", "replace", "enable", "disable", "upgrade")]
        self.assertEqual(done, [])

    def test_a_dry_run_says_everything_and_does_nothing(self):
        promised = self.install("--dry-run", "--asr", "2")
        self.assertFalse(self.root.exists())
        done = self.install("--asr", "2")
        verbs = ("folder", "install", "enable")
        actions = [line for line in promised.splitlines() if line.split(" ")[0] in verbs]
        self.assertEqual(actions, [line for line in done.splitlines() if line.split(" ")[0] in verbs])
        self.assertGreater(len(actions), 15)
        self.assertIn("Nothing was done", promised)

    def test_an_upgrade_keeps_what_the_operator_changed(self):
        self.install("--asr", "2")
        ours = self.read("etc/voice/asr.yaml").replace("max_connections: 100", "max_connections: 30")
        write(self.root / "etc/voice/asr.yaml", ours, 0o640)
        # The release before this one had another default.
        old = self.read("etc/voice/tts.yaml").replace("max_connections: 100", "max_connections: 99")
        for path in ("etc/voice/tts.yaml", "opt/voice/share/defaults/tts.yaml", "opt/voice/share/defaults/asr.yaml"):
            write(self.root / path, old, 0o640)
        voice = self.root / "opt/voice/models/large/model.bin"
        write(voice, "fetched later")
        self.build("second")
        told = self.install()
        self.assertIn("second", self.read("opt/voice/bin/asr"))
        self.assertEqual(self.read("etc/voice/asr.yaml"), ours)
        self.assertIn("max_connections: 100", self.read("etc/voice/asr.yaml.new"))
        self.assertIn("keep      /etc/voice/asr.yaml (yours", told)
        self.assertIn("max_connections: 100", self.read("etc/voice/tts.yaml"), "an unchanged file takes the new default")
        self.assertFalse((self.root / "etc/voice/tts.yaml.new").exists())
        self.assertTrue(voice.is_file())
        # Nothing new the next time: no reminder.
        (self.root / "etc/voice/asr.yaml.new").unlink()
        self.install()
        self.assertFalse((self.root / "etc/voice/asr.yaml.new").exists())

    def test_a_running_program_is_not_written_into(self):
        self.install()
        path = self.root / "opt/voice/bin/asr"
        before = path.stat().st_ino
        with path.open() as running:
            self.build("second")
            self.install()
            self.assertIn("first", running.read())
        self.assertNotEqual(path.stat().st_ino, before)
        self.assertEqual([it for it in self.files() if it.endswith((".partial", ".old"))], [])

    def test_fewer_instances(self):
        self.install("--asr", "3")
        told = self.install("--asr", "1")
        self.assertEqual([it for it in self.files() if "asr@80" in it], [f"{SYSTEM}/voice-agent-asr.target.wants/asr@8001.service"])
        self.assertIn("systemctl stop asr@8021", told)

    def test_no_instance_of_one_service_stays_none(self):
        self.install("--tts", "0")
        self.install()
        self.assertEqual([it for it in self.files() if "@80" in it], [f"{SYSTEM}/voice-agent-asr.target.wants/asr@8001.service"])

    def test_two_gpus_are_shared_out(self):
        fake = self.folder / "fake"
        write(fake / "nvidia-smi", "#!/bin/sh\necho 'GPU 0: A (UUID: GPU-0)'\necho 'GPU 1: B (UUID: GPU-1)'\n", 0o755)
        self.install(path=fake)
        self.assertIn("\nCUDA_VISIBLE_DEVICES=0\n", self.read("etc/voice/asr.env"))
        self.assertIn("\nCUDA_VISIBLE_DEVICES=1\n", self.read("etc/voice/tts.env"))

    def test_without_gpus_none_is_chosen(self):
        fake = self.folder / "fake"
        write(fake / "nvidia-smi", "#!/bin/sh\nexit 9\n", 0o755)
        self.install("--cpu-only", path=fake)
        self.assertIn("\n#CUDA_VISIBLE_DEVICES=0\n", self.read("etc/voice/tts.env"))
        self.assertIn("PrivateDevices=true", self.read(f"{SYSTEM}/tts@.service.d/cpu-only.conf"))

    def test_a_model_that_a_later_version_needs_is_missed_before_anything_is_replaced(self):
        (self.folder / "native/models/silero_vad_file.onnx").unlink()
        told = self.install(code=1)
        self.assertIn("models/silero_vad_file.onnx is missing: scripts/setup.sh", told)
        self.assertFalse(self.root.exists())

    def test_what_is_missing_is_named_with_the_remedy(self):
        shutil.rmtree(self.folder / "built")
        (self.folder / "native/lib/libonnxruntime.so").unlink()
        told = self.install(code=1)
        self.assertIn("asr is not built: cargo build --release -p asr -p tts", told)
        self.assertIn("scripts/setup.sh", told)
        self.assertFalse(self.root.exists())

    def test_wrong_arguments(self):
        self.assertIn("a number from 0 to 99", self.install("--asr", "many", code=1))
        self.assertIn("an IP address", self.install("--listen", "here;rm", code=1))
        self.assertIn("unknown option --what", self.install("--what", code=2))


class Nginx(Installation):
    def setUp(self):
        super().setUp()
        (self.root / "etc/nginx").mkdir(parents=True)

    def addresses(self):
        return {it["name"]: it["state"] for it in json.loads(self.read("etc/nginx/voice/instances.json"))}

    def test_the_front_knows_the_instances(self):
        self.install("--asr", "2", "--tts", "1")
        self.assertEqual(self.addresses(), {"asr-8001": "up", "asr-8011": "up", "tts-8002": "up"})
        self.assertIn("server 127.0.0.1:8011", self.read("etc/nginx/voice/upstreams.conf"))
        self.assertIn(f"{SYSTEM}/voice.target.wants/voice-nginx.service", self.files())

    def test_the_list_keeps_other_hosts_and_what_is_down(self):
        self.install("--asr", "2", "--tts", "1")
        path = self.root / "etc/voice/instances.tsv"
        far = "asr\tasr-far-8001\t10.0.0.7:8001\tup\n"
        write(path, far + path.read_text().replace("8011\tup", "8011\tdown"))
        self.install("--asr", "3", "--tts", "0")
        self.assertEqual(self.addresses(), {"asr-far-8001": "up", "asr-8001": "up", "asr-8011": "down", "asr-8021": "up"})

    def test_what_operators_need_is_there_and_runs(self):
        self.install()
        for script in ("roll", "nginx_upstreams", "watch_instances"):
            program = self.root / f"opt/voice/scripts/{script}.sh"
            told = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=20, cwd="/")
            self.assertEqual((told.returncode, told.stderr), (0, ""), script)
            self.assertIn("--system", told.stdout)
        down = [self.root / "opt/voice/scripts/nginx_upstreams.sh", "--list", self.root / "etc/voice/instances.tsv",
                "--out", self.root / "etc/nginx/voice", "--down", "asr-8001"]
        subprocess.run(down, check=True, timeout=20, cwd="/")
        self.assertEqual(self.addresses()["asr-8001"], "down")

    def test_a_changed_configuration_is_kept(self):
        self.install()
        path = self.root / "etc/nginx/voice/voice.conf"
        ours = path.read_text().replace("listen 8000", "listen 9000")
        write(path, ours)
        self.install()
        self.assertEqual(path.read_text(), ours)

    def test_without_nginx_there_is_none(self):
        self.install("--no-nginx")
        self.assertEqual([it for it in self.files() if ("nginx" in it or "watch." in it) and "scripts/" not in it], [])

    def test_nginx_accepts_it(self):
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if not program:
            self.skipTest("nginx is missing: scripts/setup.sh --tests installs it")
        self.install("--asr", "2")
        # The same files, with the folders of the system in the scratch root.
        front = self.root / "etc/nginx/voice"
        for folder in ("run", "var/log/nginx", "var/lib/nginx"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for path in front.rglob("*.conf"):
            text = path.read_text()
            for place in ("/etc/nginx/voice", "/var/log/nginx", "/var/lib/nginx", "/run/"):
                text = text.replace(f" {place}", f" {self.root}{place}")
            path.write_text(text.replace("user www-data;", "").replace(" 8000 ", " 22080 ").replace(" 8003 ", " 22083 ")
                            .replace("127.0.0.1:8080", "127.0.0.1:22088"))
        ran = subprocess.run([program, "-t", "-c", front / "voice.conf", "-e", self.root / "error.log"], capture_output=True,
                             text=True, timeout=30)
        self.assertEqual(ran.returncode, 0, ran.stderr)


class Uninstall(Installation):
    def install_and_use(self):
        (self.root / "etc/nginx").mkdir(parents=True)
        self.install("--asr", "2", "--cpu-only")
        write(self.root / "var/lib/voice/voices/ann/voice.json", "{}")
        write(self.root / f"{SYSTEM}/other.service", "[Unit]\n")

    def test_voices_and_settings_stay(self):
        self.install_and_use()
        told = self.uninstall()
        left = self.files()
        for path in ("etc/voice/asr.yaml", "etc/voice/tts.env", "etc/nginx/voice/voice.conf", "etc/nginx/voice/snippets/limits.conf",
                     "var/lib/voice/voices/ann/voice.json", f"{SYSTEM}/other.service"):
            self.assertIn(path, left)
        self.assertEqual([it for it in left if it.startswith("opt/voice/bin") or it.startswith("opt/voice/lib")], [])
        self.assertEqual([it for it in left if it.startswith(SYSTEM)], [f"{SYSTEM}/other.service"])
        self.assertIn("Kept: ", told)

    def test_installed_again_it_is_as_it_was(self):
        self.install_and_use()
        write(self.root / "etc/voice/asr.yaml", self.read("etc/voice/asr.yaml") + "# mine\n", 0o640)
        before = self.files()
        self.uninstall()
        self.install("--asr", "2", "--cpu-only")
        self.assertEqual(self.files(), before)
        self.assertIn("# mine", self.read("etc/voice/asr.yaml"))

    def test_purge_leaves_nothing_of_ours(self):
        self.install_and_use()
        self.uninstall("--purge")
        self.assertEqual(self.files(), [f"{SYSTEM}/other.service"])

    def test_a_dry_run_removes_nothing(self):
        self.install_and_use()
        before = self.files()
        told = self.uninstall("--purge", "--dry-run")
        self.assertEqual(self.files(), before)
        self.assertIn("remove    /var/lib/voice", told)


if __name__ == "__main__":
    unittest.main()
