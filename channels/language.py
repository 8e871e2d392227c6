"""
Which language a resident writes: English, Spanish, or too little to tell. Pure.

Texts are short, and a language model that knows a hundred languages takes "STOP" for Polish; here
there are two, and the small words of everyday speech tell them apart.
"""

import re
import unicodedata
from collections.abc import Mapping

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_MOST_LETTERS = 2_000

# Asked for by name, alone in a text.
_ASKED_FOR: Mapping[str, str] = {
    "es": "es",
    "esp": "es",
    "espanol": "es",
    "spanish": "es",
    "en": "en",
    "eng": "en",
    "english": "en",
    "ingles": "en",
}

# What both have ("a", "no", "me", "he", "van", "son"), names of streets and what has become a word
# of the other's ("plaza", "patio") stand in neither list.
_SPANISH = frozenset(
    """
    el la los las un una unos unas lo le les se su sus mi mis tu tus nos nuestro nuestra yo ella
    ellos nosotros usted ustedes al del de por para con sin sobre desde hasta entre hacia contra
    bajo cerca lejos frente enfrente detras delante lado dentro fuera encima aqui aca ahi alli alla
    donde cuando como que quien cual cuanto porque pero si tambien tampoco muy mas menos mucho mucha
    muchos muchas poco poca todo toda todos todas otro otra otros otras este esta estos estas ese
    esa esos esas eso esto aquel hay es esta estan estaba estoy soy somos era fue ser estar tiene
    tienen tengo tenemos tener hace hacen hacer haciendo hizo puede pueden puedo poder quiero quiere
    necesito necesita necesitamos vivo vive paso pasa pasan pasar viene vienen sale salen ya todavia
    aun ayer hoy manana noche dia dias semana semanas mes meses ano anos hora horas desde siempre
    nunca gracias favor hola buenos buenas tardes noches ayuda ayudar ayudenme auxilio perdon senor
    senora reportar reporte reporto informar quisiera queria calle calles avenida esquina casa casas
    cuadra barrio vecino vecina vecinos edificio parque escuela iglesia tienda puente carretera
    camino acera banqueta via carril bache baches hoyo hoyos hueco pozo basura basurero recogieron
    recoger recogen luz luces lampara farol foco poste semaforo senal letrero agua fuga tuberia
    drenaje alcantarilla inundacion inundada inundado arbol arboles rama ramas pasto hierba maleza
    zacate cesped perro perros gato gatos rata ratas animal muerto muerta ruido musica fiesta carro
    carros coche coches auto autos camion camioneta estacionado abandonado abandonada grafiti pared
    ventana puerta techo cerca roto rota rotos rotas quebrado quebrada danado danada apagada
    apagado caido caida caidos tirado tirada tirando huele olor peligroso peligrosa peligro grande
    grandes pequeno enorme feo fea lleno llena sucio sucia nieve hielo quemado fuego humo gente
    nino ninos nina ninas personas alguien nadie nada algo arreglar arreglen arreglaron limpiar
    quitar llamar llame mandar manden revisar foto fotos numero direccion otra vez mismo misma
    bien mal verdad tampoco entonces
    """.split()
)
_ENGLISH = frozenset(
    """
    the an and or but if of in on at to for from with without by about near behind beside between
    under over into onto off out up down across around along is are was were be been being am isn't
    aren't wasn't there there's here it it's its this that these those they them their he's she we
    we're our us you your you're i i'm i've my mine who what when where why how which has have had
    hasn't haven't having do does did doesn't don't didn't can can't could would should will won't
    not some any all every each much many more most very too also just still already again now
    today yesterday tomorrow tonight morning night day days week weeks month months year years
    since until ago always never please thanks thank hello hi hey good help need needs want wants
    report reporting street road avenue corner house houses block neighborhood neighbor neighbors
    neighbour building park school church store bridge highway sidewalk lane driveway alley pothole
    potholes hole holes trash garbage rubbish bin pickup picked missed collected light lights lamp
    out pole signal sign water leak leaking pipe sewer drain clogged flooded flooding flood tree
    trees branch branches limb grass weeds tall overgrown dog dogs cat rat rats barking dead animal
    deer noise loud music party car cars truck trucks vehicle parked abandoned graffiti wall window
    door roof fence broken damaged fallen fell down smells smell dangerous danger hazard big large
    huge small ugly full dirty dumped dumping snow ice burnt burned fire smoke people kids children
    someone somebody nobody nothing something fix fixed repair clean remove call send check picture
    pictures photo number address same one two went got get going come coming been no-one tire
    flat side front back next my left right top bottom stop working work
    """.split()
)
# Both know them; they tell nothing.
_SHARED = _SPANISH & _ENGLISH


def language_asked_for(text: str) -> str | None:
    """The language that a text of one word asks for: `ES`, `English`, `español`."""
    return _ASKED_FOR.get(_plain(text).strip(" \t\r\n.!?¡¿\"'"))


def detect(text: str) -> str:
    """The language to answer in; where the words do not tell, English."""
    return language_of(text) or "en"


def language_of(text: str) -> str | None:
    """`en` or `es` by the words themselves; None when they do not tell."""
    if asked := language_asked_for(text):
        return asked
    written = text[:_MOST_LETTERS].lower()
    words = [_plain(word) for word in _WORD.findall(written)]
    # Half a point for what only a Spanish keyboard writes; names have accents in any language.
    accents = sum(letter in "áéíóúü" for letter in written)
    spanish = 2.0 * sum(letter in "ñ¿¡" for letter in written) + min(1.0, 0.5 * accents)
    spanish += sum(word in _SPANISH and word not in _SHARED for word in words)
    english = 0.0 + sum(word in _ENGLISH and word not in _SHARED for word in words)
    # "El Camino Real" and "the La Quinta": a Spanish name in an English sentence, or a word more.
    if spanish == english:
        return None
    return "es" if spanish > english else "en"


def _plain(text: str) -> str:
    """In lower case and without accents, as hurried people write."""
    apart = unicodedata.normalize("NFD", text.lower().replace("’", "'"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
