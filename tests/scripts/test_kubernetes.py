"""The manifests: the published schemas accept them, with and without GPUs, and their parts fit one another and the settings."""

import copy
import os
import pathlib
import re
import sys
import unittest

import kubernetes_schema

REPOSITORY = pathlib.Path(__file__).parents[2]
FOLDER = REPOSITORY / "config/kubernetes"
SERVICES = {"asr": 8001, "tts": 8002}
sys.path.insert(0, str(REPOSITORY / ".native/python"))
try:
    import yaml
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    yaml = None


def documents(path):
    return [it for it in yaml.safe_load_all(path.read_text()) if it]


def base():
    customization = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text())
    return [it for name in customization["resources"] for it in documents(FOLDER / "base" / name)]


def patched(manifest, operations):
    """What `kustomize` makes of a manifest with a patch as RFC 6902 has it, as far as ours use it."""
    manifest = copy.deepcopy(manifest)
    for operation in operations:
        *path, last = [it.replace("~1", "/").replace("~0", "~") for it in operation["path"].split("/")[1:]]
        place = manifest
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if last == "-":
            place.append(operation["value"])
        else:
            if operation["op"] == "replace" and last not in place:
                raise AssertionError(f"nothing to replace at {operation['path']}")
            place[last] = operation["value"]
    return manifest


def with_gpus():
    customization = yaml.safe_load((FOLDER / "gpu/kustomization.yaml").read_text())
    assert customization["resources"] == ["../base"], customization
    manifests = base()
    for patch in customization["patches"]:
        def is_meant(it, target=patch["target"]):
            return it["kind"] == target["kind"] and re.fullmatch(target["name"], it["metadata"]["name"])
        assert any(map(is_meant, manifests)), patch["target"]
        manifests = [patched(it, yaml.safe_load(patch["patch"])) if is_meant(it) else it for it in manifests]
    return manifests


def find(kind, name, manifests=None):
    (found,) = [it for it in manifests or base() if it["kind"] == kind and it["metadata"]["name"] == name]
    return found


def container(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


@unittest.skipUnless(yaml, "PyYAML is missing: scripts/setup.sh --tests installs it")
class Manifests(unittest.TestCase):
    def schemas(self):
        paths = sorted((REPOSITORY / ".native/share/kubernetes").glob("v*.json"))
        if not paths:
            if os.environ.get("CI") == "true":
                self.fail("the schemas are missing")
            self.skipTest("the schemas are missing: scripts/setup.sh --tests installs them")
        return {path.stem: kubernetes_schema.Schemas(path) for path in paths}

    def test_the_published_schemas_accept_them(self):
        for version, schemas in self.schemas().items():
            for manifests in (base(), with_gpus()):
                self.assertEqual(len(manifests), 10)
                for manifest in manifests:
                    with self.subTest(version=version, kind=manifest["kind"], name=manifest["metadata"]["name"]):
                        self.assertEqual(schemas.problems(manifest), [])

    def test_the_schemas_refuse_mistakes(self):
        def change(do):
            manifest = copy.deepcopy(find("Deployment", "asr"))
            do(manifest)
            return manifest
        mistakes = [
            (change(lambda it: it["spec"].update(replica=2)), "Deployment.spec.replica is not known"),
            (change(lambda it: it["spec"].pop("selector")), "Deployment.spec.selector is missing"),
            (change(lambda it: it.update(apiVersion="apps/v2")), "there is no Deployment in apps/v2"),
            (change(lambda it: container(it).update(image=7)), "Deployment.spec.template.spec.containers[0].image: 7 is not"),
            (change(lambda it: container(it)["readinessProbe"]["httpGet"].update(port=[])), "httpGet.port: [] fits none"),
        ]
        for schemas in self.schemas().values():
            for manifest, problem in mistakes:
                self.assertIn(problem, "\n".join(schemas.problems(manifest)))

    def test_parts_find_one_another(self):
        for service, port in SERVICES.items():
            deployment = find("Deployment", service)
            labels = deployment["spec"]["template"]["metadata"]["labels"]
            self.assertEqual(deployment["spec"]["selector"]["matchLabels"], labels)
            self.assertEqual(find("PodDisruptionBudget", service)["spec"]["selector"]["matchLabels"], labels)
            for name in (service, f"{service}-pods"):
                spec = find("Service", name)["spec"]
                self.assertEqual((spec["selector"], spec["ports"][0]["port"]), (labels, port))
            self.assertEqual(container(deployment)["ports"], [{"name": "http", "containerPort": port}])
            self.assertEqual(find("HorizontalPodAutoscaler", service)["spec"]["scaleTargetRef"]["name"], service)
            mounted = {it["name"] for it in container(deployment)["volumeMounts"]}
            self.assertEqual(mounted, {it["name"] for it in deployment["spec"]["template"]["spec"]["volumes"]})
            self.assertIn(f"USER {deployment['spec']['template']['spec']['securityContext']['runAsUser']}:",
                          (REPOSITORY / f"services/{service}/Dockerfile").read_text())

    def test_a_pod_has_time_to_drain(self):
        for service in SERVICES:
            text = (REPOSITORY / f"config/{service}.yaml").read_text()
            drain_s = int(re.search(r"^  deadline_ms: (\d+)$", text, re.M).group(1)) / 1000
            deployment = find("Deployment", service)
            (sleep, before) = container(deployment)["lifecycle"]["preStop"]["exec"]["command"]
            self.assertEqual(sleep, "sleep")
            readiness = container(deployment)["readinessProbe"]
            patience = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            # The last bytes and the threads of the models.
            self.assertGreaterEqual(patience, int(before) + drain_s + 10)
            self.assertGreaterEqual(int(before), readiness["periodSeconds"] * readiness["failureThreshold"])

    def test_no_pod_goes_before_another_is_there(self):
        for service in SERVICES:
            rolling = find("Deployment", service)["spec"]["strategy"]["rollingUpdate"]
            self.assertEqual((rolling["maxSurge"], rolling["maxUnavailable"]), (1, 0))
            self.assertNotIn("replicas", find("Deployment", service)["spec"], "it would undo the autoscaler")
            scaler = find("HorizontalPodAutoscaler", service)["spec"]
            self.assertGreater(scaler["minReplicas"], find("PodDisruptionBudget", service)["spec"]["maxUnavailable"])

    def test_probes_are_what_the_servers_answer(self):
        for service in SERVICES:
            probes = {kind: container(find("Deployment", service))[f"{kind}Probe"]["httpGet"]["path"]
                      for kind in ("startup", "readiness", "liveness")}
            self.assertEqual(probes, {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"})

    def test_gpus_are_asked_for_in_the_overlay_alone(self):
        for service in SERVICES:
            self.assertNotIn("gpu", str(find("Deployment", service)))
            deployment = find("Deployment", service, with_gpus())
            self.assertEqual(container(deployment)["resources"]["limits"]["nvidia.com/gpu"], 1)
            self.assertIn({"name": "VOICE__MODEL__DEVICE", "value": "cuda"}, container(deployment)["env"])

    def test_keys_come_from_a_secret(self):
        self.assertEqual(container(find("Deployment", "tts"))["envFrom"], [{"secretRef": {"name": "voice-bucket"}}])
        self.assertIn("secret generic voice-bucket", (FOLDER / "base/kustomization.yaml").read_text())
        example = (FOLDER / "base/bucket.env.example").read_text()
        self.assertRegex(example, r"(?m)^VOICE__VOICES__STORE=s3://")
        self.assertRegex(example, r"(?m)^AWS_SECRET_ACCESS_KEY=fill-in$")

    def test_every_variable_is_a_setting(self):
        for service in SERVICES:
            variables = {it["name"]: it["value"] for it in container(find("Deployment", service, with_gpus()))["env"] if "value" in it}
            self.assertGreaterEqual(len(variables), 3)
            settings = yaml.safe_load((REPOSITORY / f"config/{service}.yaml").read_text())
            for name in variables:
                _voice, section, key = name.lower().split("__")
                self.assertIn(key, settings[section], name)

    def test_the_autoscaler_asks_for_metrics_that_exist(self):
        rules = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
        offered = {rule["name"]["as"] for rule in rules if "name" in rule} | {f"{service}_connections" for service in SERVICES}
        for service in SERVICES:
            wanted = {it["pods"]["metric"]["name"] for it in find("HorizontalPodAutoscaler", service)["spec"]["metrics"]}
            self.assertEqual(wanted, {f"{service}_connections", f"{service}_queue_wait_p95_seconds"})
            self.assertLessEqual(wanted, offered)
            limit = {it["name"]: it.get("value") for it in container(find("Deployment", service))["env"]}
            sessions = find("HorizontalPodAutoscaler", service)["spec"]["metrics"][0]["pods"]["target"]["averageValue"]
            self.assertLess(int(sessions), int(limit["VOICE__SERVER__MAX_CONNECTIONS"]))

if __name__ == "__main__":
    unittest.main()
