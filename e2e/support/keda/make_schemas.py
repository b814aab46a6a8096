"""Makes keda-<version>.json: the schemas of KEDA's custom resources, from the definitions in its Go module (Apache-2.0). Needs Go and PyYAML.

Usage: python make_schemas.py v2.18.1
What a pod may have is left out (it is nine tenths of the file, and Kubernetes' own schema checks it), and so are descriptions. Fields that KEDA does not know
are refused, as `kubectl apply` with strict validation does.
"""

import json
import pathlib
import subprocess
import sys

import yaml

version = sys.argv[1]
module = json.loads(subprocess.check_output(["go", "mod", "download", "-json", f"github.com/kedacore/keda/v2@{version}"], cwd="/"))


def strict(node):
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    copy = {key: strict(value) for key, value in node.items() if not (key == "description" and isinstance(value, str))}
    if isinstance(node.get("properties"), dict) and "type" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        copy.setdefault("additionalProperties", False)
    return copy


def schema_of(plural: str) -> dict:
    text = pathlib.Path(module["Dir"], "config/crd/bases", f"keda.sh_{plural}.yaml").read_text()
    (served,) = [v for v in yaml.safe_load(text)["spec"]["versions"] if v["served"]]
    schema = served["schema"]["openAPIV3Schema"]
    if plural == "scaledjobs":
        schema["properties"]["spec"]["properties"]["jobTargetRef"]["properties"]["template"] = {"type": "object"}
    return {"apiVersion": f"keda.sh/{served['name']}", "schema": strict(schema)}


kinds = {"ScaledJob": "scaledjobs", "TriggerAuthentication": "triggerauthentications"}
target = pathlib.Path(__file__).with_name(f"keda-{version.removeprefix('v')}.json")
target.write_text(json.dumps({kind: schema_of(plural) for kind, plural in kinds.items()}, indent=2) + "\n")
