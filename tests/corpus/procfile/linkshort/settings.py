import os

FILE = os.environ.get("LINKS_FILE", "links.db")
SECRET_KEY = os.environ["SECRET_KEY"]
