"""The units: systemd accepts them, they are hardened, their times are in order with those of the servers."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).parents[2]
UNITS = REPOSITORY / "systemd"
SERVICES = ("asr", "tts")


def seconds(text):
    """Of systemd and nginx: `150s`, `2h`, `300`."""
    number, unit = re.fullmatch(r"(\d+)\s*(ms|s|m|min|h|)", text.strip()).groups()
    return int(number) * {"ms": 0.001, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600}[unit]


def setting(service, name):
    """One value of a unit; the last one counts."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / f"{service}@.service").read_text(), re.M)[-1]


def configured(service, key):
    """A number of `drain` in the shipped settings."""
    section = re.search(r"^drain:\n((?:  .*\n)+)", (REPOSITORY / f"config/{service}.yaml").read_text(), re.M).group(1)
    return int(re.search(rf"^  {key}: (\d+)$", section, re.M).group(1)) / 1000


def rust_constant(file, name):
    text = (REPOSITORY / "services/libs/chassis/src" / file).read_text()
    return re.search(rf"const {name}: \w+ = (.*);", text).group(1)


class Root:
    """A file system with the units, stand-ins for the programs, and the few units of systemd that ours refer to."""

    def __init__(self, drop_ins=()):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.system = self.path / "etc/systemd/system"
        shutil.copytree(UNITS, self.system)
        for name in ("sysinit", "basic", "shutdown", "multi-user", "network-online"):
            (self.system / f"{name}.target").write_text("[Unit]\nDescription=stands in\n")
        for program in ("opt/voice/bin/asr", "opt/voice/bin/tts", "opt/voice/scripts/watch_instances.sh",
                        "usr/sbin/nginx", "bin/kill"):
            path = self.path / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)
        for service in SERVICES:
            for drop_in in drop_ins:
                folder = self.system / f"{service}@.service.d"
                folder.mkdir(exist_ok=True)
                shutil.copy(UNITS / "drop-ins" / drop_in, folder)

    def analyze(self, *arguments):
        ran = subprocess.run(["systemd-analyze", f"--root={self.path}", *arguments], cwd=self.system, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return ran.returncode, ran.stdout


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is missing: scripts/setup.sh --tests installs it")
class Units(unittest.TestCase):
    def root(self, drop_ins=()):
        root = Root(drop_ins)
        self.addCleanup(root.folder.cleanup)
        return root

    def test_systemd_accepts_every_unit_without_a_word(self):
        names = sorted(path.name.replace("@.", "@8001.") for path in UNITS.iterdir() if path.is_file())
        self.assertGreaterEqual(len(names), 6)
        for drop_ins in ((), ("cpu-only.conf",), ("gpu-devices.conf",)):
            with self.subTest(drop_ins=drop_ins):
                # A misspelt key is a warning with exit code 0, so no word is the only success.
                self.assertEqual(self.root(drop_ins).analyze("verify", *names), (0, ""))

    def test_the_exposure_is_low(self):
        for drop_ins, limit in (((), 2.5), (("cpu-only.conf",), 1.8), (("gpu-devices.conf",), 2.5)):
            root = self.root(drop_ins)
            for unit in ("asr@8001.service", "tts@8002.service", "voice-nginx.service", "voice-watch.service"):
                with self.subTest(unit=unit, drop_ins=drop_ins):
                    _code, told = root.analyze("security", "--offline=true", unit)
                    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told).group(1))
                    self.assertLessEqual(exposure, limit if "@" in unit else 3.0, told)

    def test_who_checks_nginx_configuration_may_bind_its_ports(self):
        # `nginx -t` binds them; 443 and 80 of the TLS example are not for everybody.
        for unit in ("voice-nginx.service", "voice-watch.service"):
            capabilities = re.search(r"^CapabilityBoundingSet=(.*)$", (UNITS / unit).read_text(), re.M).group(1).split()
            self.assertIn("CAP_NET_BIND_SERVICE", capabilities, unit)

    def test_the_targets_want_the_chosen_instances(self):
        root = self.root()
        enable = ["systemctl", f"--root={root.path}", "enable", "asr@8001", "asr@8011", "tts@8002", "voice-agent-asr.target",
                  "voice-agent-tts.target", "voice-nginx.service", "voice.target"]
        subprocess.run(enable, check=True, capture_output=True, timeout=60)
        wanted = {path.parent.name: sorted(it.name for it in path.parent.iterdir()) for path in root.system.glob("*.wants/*")}
        self.assertEqual(wanted, {
            "multi-user.target.wants": ["voice.target"],
            "voice.target.wants": ["voice-agent-asr.target", "voice-agent-tts.target", "voice-nginx.service"],
            "voice-agent-asr.target.wants": ["asr@8001.service", "asr@8011.service"],
            "voice-agent-tts.target.wants": ["tts@8002.service"],
        })

    def test_stopping_reaches_every_instance(self):
        for service in SERVICES:
            self.assertEqual(setting(service, "PartOf"), f"voice-agent-{service}.target")
            self.assertIn("PartOf=voice.target", (UNITS / f"voice-agent-{service}.target").read_text())


class Times(unittest.TestCase):
    def test_a_drain_ends_before_systemd_kills_and_nginx_lets_go(self):
        nginx = REPOSITORY / "nginx/voice.conf"
        for service in SERVICES:
            drain = configured(service, "announce_ms") + configured(service, "deadline_ms")
            stop = seconds(setting(service, "TimeoutStopSec"))
            # The last bytes, and threads that finish a call of a model.
            self.assertLess(drain + 10, stop, service)
            if nginx.is_file():
                lets_go = re.search(r"^worker_shutdown_timeout (\w+);", nginx.read_text(), re.M).group(1)
                self.assertLess(stop, seconds(lets_go), service)

    def test_the_comment_says_the_same(self):
        for service in SERVICES:
            text = (UNITS / f"{service}@.service").read_text()
            drain = configured(service, "announce_ms"), configured(service, "deadline_ms")
            self.assertIn("drain.announce_ms + drain.deadline_ms      {:.0f} + {:.0f} s".format(*drain), text)
            self.assertRegex(text, r"TimeoutStopSec, here +{:.0f} s".format(seconds(setting(service, "TimeoutStopSec"))))

    def test_more_time_is_asked_for_in_time(self):
        look = seconds(re.search(r"from_secs\((\d+)\)", rust_constant("systemd.rs", "LOOK")).group(1))
        more = seconds(re.search(r"from_secs\((\d+)\)", rust_constant("systemd.rs", "MORE")).group(1))
        self.assertLess(2 * look, more)
        for service in SERVICES:
            for limit in ("TimeoutStartSec", "TimeoutStopSec"):
                self.assertLess(look, seconds(setting(service, limit)))

    def test_a_mistake_in_the_settings_is_not_started_again(self):
        for service in SERVICES:
            self.assertEqual(setting(service, "RestartPreventExitStatus"), rust_constant("settings.rs", "EXIT_CONFIG"))
            self.assertEqual(setting(service, "Restart"), "on-failure")


if __name__ == "__main__":
    unittest.main()
