"""What runs in the containers of a cluster beside the app. Standard library only: nothing is installed there."""
