"""Labs: each folder here breaks a generated project in a real way, and knows when it is whole again."""
