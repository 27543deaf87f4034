"""From a drafted step to accept or reject. Depends on no run, so any recorded step can be judged again."""
