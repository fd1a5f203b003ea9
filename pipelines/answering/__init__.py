"""Who answers a call that we place: a person, a machine, somebody who screens calls, or nobody after all. Pure."""
