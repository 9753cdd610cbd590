"""Engines on several GPUs and machines behind the one interface: a pool of replicas, each an actor of a Ray cluster."""
