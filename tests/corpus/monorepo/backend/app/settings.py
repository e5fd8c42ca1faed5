from pydantic_settings import BaseSettings
from sqlalchemy import create_engine


class Settings(BaseSettings):
    database_url: str = "sqlite:///./tasks.db"


engine = create_engine(Settings().database_url)
