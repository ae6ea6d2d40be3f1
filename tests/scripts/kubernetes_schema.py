"""Checks manifests with the schemas that Kubernetes publishes. Knows every keyword that those use, and says so if not."""

import json

# What tells people and other programs something, and forbids nothing.
SILENT = {"description", "format", "default", "$schema", "$id"}
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list, "null": type(None)}


class Schemas:
    def __init__(self, path):
        self.definitions = json.loads(path.read_text())["$defs"]
        self.kinds = {}
        for name, definition in self.definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", ()):
                version = "/".join(filter(None, (kind["group"], kind["version"])))
                self.kinds[version, kind["kind"]] = name

    def problems(self, manifest):
        """Everything that is wrong with a manifest, as `path: what`."""
        name = self.kinds.get((manifest.get("apiVersion"), manifest.get("kind")))
        if name is None:
            return [f"there is no {manifest.get('kind')} in {manifest.get('apiVersion')}"]
        return list(self._check(manifest, self.definitions[name], manifest["kind"]))

    def _check(self, value, schema, path):
        for keyword, wanted in schema.items():
            if keyword == "$ref":
                yield from self._check(value, self.definitions[wanted.rsplit("/", 1)[1]], path)
            elif keyword == "type":
                names = [wanted] if isinstance(wanted, str) else wanted
                if not any(is_a(value, name) for name in names):
                    yield f"{path}: {value!r} is not {' or '.join(names)}"
            elif keyword == "enum":
                if value is not None and value not in wanted:
                    yield f"{path}: {value!r} is none of {wanted}"
            elif keyword == "required":
                yield from (f"{path}.{key} is missing" for key in wanted if isinstance(value, dict) and key not in value)
            elif keyword == "properties":
                known = ((key, it) for key, it in value.items() if key in wanted) if isinstance(value, dict) else ()
                for key, it in known:
                    yield from self._check(it, wanted[key], f"{path}.{key}")
            elif keyword == "additionalProperties":
                others = set(value) - set(schema.get("properties", ())) if isinstance(value, dict) else ()
                for key in sorted(others):
                    if wanted is False:
                        yield f"{path}.{key} is not known"
                    elif isinstance(wanted, dict):
                        yield from self._check(value[key], wanted, f"{path}.{key}")
            elif keyword == "items":
                for idx, it in enumerate(value if isinstance(value, list) else ()):
                    yield from self._check(it, wanted, f"{path}[{idx}]")
            elif keyword == "oneOf":
                if sum(not list(self._check(value, it, path)) for it in wanted) != 1 and value is not None:
                    yield f"{path}: {value!r} fits none of its forms, or several"
            elif keyword not in SILENT and not keyword.startswith("x-kubernetes-"):
                raise AssertionError(f"the schemas use `{keyword}`, which is not understood here")


def is_a(value, name):
    # A boolean is an integer to Python alone.
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
