"""What is said of packages that are missing."""

from stellar_emulator.system.extras import missing


def test_the_driver_that_sqlalchemy_asks_for_leads_to_the_one_that_the_extra_brings() -> None:
    told = str(missing("psycopg", "postgresql"))
    assert "pip install 'stellar-emulator[postgresql]'" in told
    assert "postgresql+psycopg2://" in told
    assert "psycopg2://" not in str(missing("sklearn", "train"))
