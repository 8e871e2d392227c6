"""English or Spanish, told from a few words of a text message."""

import pytest

from channels.language import language_asked_for, language_of

SPANISH = [
    "Hay un bache muy grande en la calle 23",
    "hay basura tirada",
    "no han recogido la basura",
    "Bache en 23rd y Noland",
    "Bache enorme frente a mi casa",
    "la luz de la calle esta apagada",
    "Se fue la luz en mi cuadra",
    "arbol caido",
    "Árbol caído sobre Sterling Ave",
    "fuga de agua",
    "perro muerto en Truman Rd",
    "el semaforo no sirve en Crysler y 35",
    "¿Cuándo van a arreglar el hoyo?",
    "gracias",
    "Hola, quisiera reportar un carro abandonado",
    "Mi vecino tiene mucho ruido en la noche",
    "por favor manden a alguien",
    "hace una semana que no pasan por la basura",
    "Esta en la esquina de Main y Maple",
    "cerca de la escuela",
    "Señal de alto tirada",
    "ratas en el edificio",
    "pasto muy alto en el lote de al lado 1200 S Main St",
    "alguien puso grafiti en la pared del parque",
    "todavia no lo arreglan",
    "otra vez huele a gas",
    "a lado de la tienda",
]
ENGLISH = [
    "Big pothole on 23rd by the gas station",
    "pothole 23rd and noland",
    "There is trash all over the alley",
    "street light out at 1200 W Truman Rd",
    "tree down",
    "water leak",
    "dead deer on the side of the road",
    "my neighbor's dog is barking all night",
    "it's still not fixed",
    "thanks",
    "When will you fix the hole?",
    "the light at Crysler and 35th isn't working",
    "abandoned car in front of my house",
    "missed trash pickup again",
    "near the school",
    "There's graffiti on the wall behind the La Plaza store",
    "Pothole on El Camino Real near the church",
    "rats",
    "grass too tall next door",
    "loud music at my neighbors",
    "Sewer smells",
    "they didn't pick up the bin on Los Alamos",
    "José Martínez parked his truck on the sidewalk",
    "Can you send someone please",
    "i can’t get out of my driveway",
]


@pytest.mark.parametrize("text", SPANISH)
def test_spanish_is_heard(text: str) -> None:
    assert language_of(text) == "es"


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_heard(text: str) -> None:
    assert language_of(text) == "en"


@pytest.mark.parametrize("text", ["", "23rd", "1200 W Truman", "👍", "ok", "2", "???", "no"])
def test_too_little_tells_nothing(text: str) -> None:
    assert language_of(text) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [("ES", "es"), (" es. ", "es"), ("Español", "es"), ("ENGLISH", "en"), ("en", "en")],
)
def test_one_word_asks_for_a_language(text: str, language: str) -> None:
    assert language_asked_for(text) == language
    assert language_of(text) == language


def test_the_word_alone_asks_and_in_a_sentence_does_not() -> None:
    assert language_asked_for("es un bache") is None
