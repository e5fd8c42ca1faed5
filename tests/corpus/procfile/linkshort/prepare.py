import logging
import sqlite3

from linkshort.settings import FILE

with sqlite3.connect(FILE) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS link (word TEXT PRIMARY KEY, url TEXT NOT NULL)")
logging.getLogger(__name__).info("ready")
