"""The decision and all that leads to it, without IO: no await, clock, log or framework."""
