"""The table that says what photos of an enrolment show."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import ForensicsError, UsageError
from forensics.identity.words import PhotoWords, read_words

PHOTOS = ["in/photos/01.jpg", "in/photos/02.jpg", "in/crowd/01.jpg"]


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "words.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_name_photos_by_the_end_of_their_paths(tmp_path):
    path = table(
        tmp_path,
        "\ufeffphoto,hair,scene.place\nphotos/01.jpg, short dark ,office\n02.jpg,,beach\n",
    )
    assert read_words(path, PHOTOS) == {
        "in/photos/01.jpg": PhotoWords({"hair": "short dark"}, {"place": "office"}),
        "in/photos/02.jpg": PhotoWords({}, {"place": "beach"}),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n", "has the columns []"),
        ("photo\n01.jpg\n", "has the columns ['photo']"),
        ("file,hair\n01.jpg,dark\n", "has the columns ['file', 'hair']"),
        ("photo,hair,hair\n02.jpg,a,b\n", "has the columns"),
        ("photo,hair\n01.jpg,dark\n", "line 2: 2 of 3 photos end in '01.jpg'"),
        ("photo,hair\n1.jpg,dark\n", "line 2: 0 of 3 photos end in '1.jpg'"),
        ("photo,hair\n,dark\n", "line 2: 0 of 3 photos end in ''"),
        ("photo,hair\n02.jpg,a\nphotos/02.jpg,b\n", "line 3: photos/02.jpg is there twice"),
        ("photo,hair\n02.jpg,a,b\n", "line 2: not as many cells"),
        ("photo,hair\n02.jpg\n", "line 2: not as many cells"),
        (f"photo,hair\n02.jpg,{'x' * 81}\n", "line 2: 'hair' is longer than 80 letters"),
        ('photo,hair\n02.jpg,"dark\n', "is not CSV in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, said):
    with pytest.raises(UsageError) as caught:
        read_words(table(tmp_path, text), PHOTOS)
    assert said in caught.value.what and "scene.place" in (caught.value.fix or "")


def test_other_encodings_and_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="UTF-8"):
        read_words(table(tmp_path, "photo,hair\n02.jpg,bläck\n", "latin-1"), PHOTOS)
    for path in (tmp_path / "none.csv", tmp_path, table(tmp_path, "")):
        with pytest.raises(ForensicsError):
            read_words(path, PHOTOS)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error_in_words(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "words.csv"
    path.write_bytes(data)
    try:
        read_words(path, PHOTOS)
    except ForensicsError as error:
        assert "\x00" not in error.what


@given(
    st.lists(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_words_come_back_as_they_were_written(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("back") / "words.csv"
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["photo", *(f"a{i}" for i in range(len(words)))])
    writer.writerow(["02.jpg", *words])
    path.write_bytes(out.getvalue().encode())
    (found,) = read_words(path, PHOTOS).values()
    assert list(found.looks.values()) == words
