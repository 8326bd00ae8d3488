"""The use cases that both faces call, one module each. Only here do siblings of the house meet."""
