"""Nodes that join and leave a Ray cluster while it works."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from steps import Recipe, Slow, Trace, Write

from amphion_data.engines import RayEngine, Step

pytestmark = [pytest.mark.slow, pytest.mark.extra("ray")]


@pytest.fixture
def nodes(monkeypatch):
    """A cluster of two nodes on this machine, one core each."""
    import ray
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    paths = [str(Path(__file__).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    second = cluster.add_node(**small)
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}}
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=environment)
    yield cluster, second, small
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_is_lost_costs_no_unit_and_one_that_joins_gets_some(nodes, tmp_path):
    cluster, second, small = nodes
    outcomes = []
    for outcome in RayEngine(retries=1).run([Step("write", Recipe(Write, tmp_path, 0.3))], range(60)):
        outcomes.append(outcome)
        if len(outcomes) == 10:
            cluster.remove_node(second, allow_graceful=False)
        if len(outcomes) == 30:
            cluster.add_node(**small)
    assert sorted(outcome.unit for outcome in outcomes) == list(range(60)) and all(o.done for o in outcomes)
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".txt"]) == 60


def test_an_actor_whose_node_is_lost_costs_no_unit_and_waits_for_no_gpu(monkeypatch, tmp_path):
    import ray
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    paths = [str(Path(__file__).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    second = cluster.add_node(**small)
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}}
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=environment)
    made = [Step("first", Recipe(Trace, tmp_path)), Step("model", Recipe(Slow, 0.4), gpus=1.0)]
    made.append(Step("last", Recipe(Trace, tmp_path)))
    outcomes, before, after = [], set(), set()
    try:
        for outcome in RayEngine(retries=1).run(made, range(40)):
            outcomes.append(outcome)
            (before if len(outcomes) <= 16 else after).add(outcome.value[2])
            if len(outcomes) == 16:
                cluster.remove_node(second, allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert sorted(outcome.value[0] for outcome in outcomes) == list(range(40)) and all(o.done for o in outcomes)
    assert len(before) == 2 and len(after - before) == 0  # the actor that was left did the rest
