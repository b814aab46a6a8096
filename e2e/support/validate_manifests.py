"""Kubernetes objects of the folder given: schemas of the version given and KEDA's, strictly, and what every pod of ours must have. Prints what is wrong, a line each."""
import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

folder, version = pathlib.Path(sys.argv[1]), sys.argv[2]
faults: list[str] = []
keda = json.loads(pathlib.Path(__file__).with_name("keda").joinpath("keda-2.18.1.json").read_text())


def fault(where: str, what: str) -> None:
    faults.append(f"{where}: {what}")


def schema(where: str, document: dict) -> None:
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        fault(where, f"{'.'.join(map(str, error.path))}: {error.message}")


def keda_schema(where: str, document: dict) -> None:
    definition = keda[document["kind"]]
    if document["apiVersion"] != definition["apiVersion"]:
        fault(where, f"apiVersion is not {definition['apiVersion']}")
    for error in jsonschema.Draft7Validator(definition["schema"]).iter_errors(document):
        fault(where, f"{'.'.join(map(str, error.path))}: {error.message}")


def pod(where: str, spec: dict, listens: bool) -> None:
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") in (None, 0):
        fault(where, "does not say that it runs as a user other than root")
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        fault(where, "has no seccomp profile")
    if spec.get("automountServiceAccountToken") is not False:
        fault(where, "gets a service-account token")
    for container in spec.get("initContainers", []) + spec["containers"]:
        name = f"{where}/{container['name']}"
        rights = container.get("securityContext", {})
        if rights.get("allowPrivilegeEscalation") is not False or rights.get("readOnlyRootFilesystem") is not True:
            fault(name, "may gain privileges or write its root file system")
        if rights.get("capabilities", {}).get("drop") != ["ALL"]:
            fault(name, "keeps capabilities")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            fault(name, "has no limit of memory")
    if listens:
        for container in spec["containers"]:
            for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
                get = container.get(probe, {}).get("httpGet", {})
                ports = [port["name"] for port in container.get("ports", [])]
                if get.get("path") != path or get.get("port") not in ports:
                    fault(f"{where}/{container['name']}", f"has no {probe} of {path} on a port that it names")


for path in sorted(folder.glob("*.yaml")):
    for document in yaml.safe_load_all(path.read_text()):
        kind, where = document["kind"], f"{path.name} {document['kind']}"
        if kind == "Kustomization":
            for name in document["resources"]:
                if not (folder / name).exists():
                    fault(where, f"names {name}, which is not there")
        elif kind == "ScaledJob":
            keda_schema(where, document)
            # What it makes is a Job.
            job = {k: v for k, v in document["spec"]["jobTargetRef"].items()}
            schema(where, {"apiVersion": "batch/v1", "kind": "Job", "metadata": document["metadata"], "spec": job})
            pod(where, job["template"]["spec"], listens=True)
            env = {e["name"]: e.get("value") for c in job["template"]["spec"]["containers"] for e in c["env"]}
            ports = [str(p["containerPort"]) for c in job["template"]["spec"]["containers"] for p in c["ports"]]
            if env.get("ROWSMITH_METRICS_PORT") not in ports or env.get("ROWSMITH_METRICS_HOST") != "0.0.0.0":
                fault(where, "ROWSMITH_METRICS_PORT is not the port that it names, or nobody outside the pod can ask")
        elif kind == "TriggerAuthentication":
            keda_schema(where, document)
        else:
            schema(where, document)
            if kind == "Deployment":
                pod(where, document["spec"]["template"]["spec"], listens=True)

print("\n".join(faults))
