"""What is told of a run: failure messages, the terminal summary, and reports for people, CI and programs."""
