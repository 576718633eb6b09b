"""The quick start of docs/pytest.md: run it with `sudo pytest docs/examples`."""


def test_the_shop(lab):
    db = lab.container("db", networks=lab.network("backend", internal=True))
    web = lab.container("web", networks=["backend", lab.network("frontend")], publish="8080:80")
    client = lab.lan().client

    assert web.reaches(db, tcp=5432)
    assert client.reaches(lab.host, tcp=8080)           # a published port: the container answers
    assert not client.reaches(db, tcp=5432)
