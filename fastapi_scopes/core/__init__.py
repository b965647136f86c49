"""The pure core: scope maps, rules and the decision, without IO, clock, log or framework."""
