"""The dictionary of the translation service: English words with their Spanish ones, and how Spanish inflects.

Each table has one entry a line. Words belong to a topic, by which the service tells apart the senses of a word that
has two: a ``bank`` beside a river is an *orilla*, beside money a *banco*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "ADJECTIVES",
    "ADVERBS",
    "CONJUNCTIONS",
    "DETERMINERS",
    "GIVING",
    "IDIOMS",
    "NAMES",
    "NOUNS",
    "PREPOSITIONS",
    "RARE",
    "TOPICS",
    "VERBS",
    "Adjective",
    "Noun",
    "Verb",
    "agreeing",
    "plural",
]

_ACCENTS = {"án": "anes", "én": "enes", "ín": "ines", "ón": "ones"}
_IRREGULAR_PLURALS = {"examen": "exámenes", "joven": "jóvenes"}
VOWELS = "aeiouáéíóú"


@dataclass(frozen=True, slots=True)
class Noun:
    """One sense of a noun. ``gender``: m or f; ``person``: takes the preposition *a* as an object."""

    english: str
    english_plural: str
    spanish: str
    gender: str
    topic: str
    person: bool


@dataclass(frozen=True, slots=True)
class Verb:
    """One sense of a verb. ``forms``: present he, they; past he, they; ``topic`` is empty where it fits everywhere."""

    english: str
    english_past: str
    infinitive: str
    forms: tuple[str, str, str, str]
    participle: str
    topic: str

    @property
    def english_third(self) -> str:
        """He …"""
        stem = self.english
        if stem.endswith("y") and stem[-2] not in "aeiou":
            return f"{stem[:-1]}ies"
        return f"{stem}es" if stem.endswith(("s", "sh", "ch", "x", "o")) else f"{stem}s"


@dataclass(frozen=True, slots=True)
class Adjective:
    """``before``: it stands before the noun and loses its ending before a masculine one (*buen*, *gran*)."""

    english: str
    spanish: str
    before: str = ""


def plural(word: str) -> str:
    """The Spanish plural."""
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if word[-1] in VOWELS:
        return f"{word}s"
    if word.endswith("z"):
        return f"{word[:-1]}ces"
    return word[:-2] + _ACCENTS[word[-2:]] if word[-2:] in _ACCENTS else f"{word}es"


def agreeing(word: str, gender: str, many: bool) -> str:
    """An adjective or participle in the gender and number of its noun."""
    if gender == "f" and word.endswith("o"):
        word = f"{word[:-1]}a"
    return plural(word) if many else word


_NOUNS = """
nature: river río m; forest bosque m; mountain montaña f; valley valle m; bird pájaro m; tree árbol m; flower flor f
nature: stone piedra f; lake lago m; boat barca f; path sendero m; storm tormenta f; island isla f; cloud nube f
nature: fisherman/fishermen pescador m+; shepherd pastor m+; wolf/wolves lobo m; hunter cazador m+; cave cueva f
town: shop tienda f; market mercado m; loan préstamo m; customer cliente m+; merchant comerciante m+; price precio m
town: street calle f; bridge puente m; house casa f; debt deuda f; contract contrato m; lawyer abogado m+
town: mayor alcalde m+; account cuenta f; office oficina f; judge juez m+; tax impuesto m; woman/women mujer f+
music: song canción f; singer cantante f+; violin violín m; concert concierto m; stage escenario m; drum tambor m
music: dancer bailarina f+; guitar guitarra f; poem poema m; actor actor m+; piano piano m; voice voz f; dance baile m
war: captain capitán m+; sailor marinero m+; ship barco m; soldier soldado m+; enemy/enemies enemigo m+; sword espada f
war: harbour puerto m; flag bandera f; cannon cañón m; queen reina f+; king rey m+; castle castillo m; wall muro m
kitchen: loaf/loaves pan m; soup sopa f; cook cocinera f+; table mesa f; knife/knives cuchillo m; cake pastel m
kitchen: cheese queso m; apple manzana f; oven horno m; wine vino m; baker panadero m+; onion cebolla f
school: teacher maestra f+; pupil alumno m+; book libro m; lesson lección f; pencil lápiz m; school escuela f
school: exam examen m; word palabra f; page página f; library/libraries biblioteca f; girl chica f+; boy chico m+
machine: engine motor m; wheel rueda f; workshop taller m; tool herramienta f; lamp lámpara f; wire cable m
machine: mechanic mecánico m+; battery/batteries batería f; screw tornillo m; car coche m; engineer ingeniera f+
nature: bank orilla f; spring fuente f; crane grulla f; plant planta f; seal foca f; trunk tronco m; mole topo m
town: bank banco m; key llave f; letter carta f; note billete m; court tribunal m; seal sello m; company/ empresa f
town: date cita f
music: key tecla f; note nota f; score partitura f; pipe flauta f; record disco m
war: court corte f; company/ compañía f; trunk baúl m; mole espía m+
kitchen: plate plato m; glass vaso m; date dátil m
school: letter letra f; board pizarra f; score nota f; record expediente m
machine: spring muelle m; crane grúa f; plant fábrica f; plate placa f; glass vidrio m; board tabla f; pipe tubo m
"""

_VERBS = """
see saw ver ve ven vio vieron visto; buy bought comprar; sell sold vender; paint painted pintar; love loved amar
find found encontrar encuentra encuentran encontró encontraron; carry carried llevar; hide hid esconder
break broke romper rompe rompen rompió rompieron roto; open opened abrir abre abren abrió abrieron abierto
close closed cerrar cierra cierran cerró cerraron; know knew conocer; hate hated odiar; forget forgot olvidar
follow followed seguir sigue siguen siguió siguieron; remember remembered recordar recuerda recuerdan recordó recordaron
build built construir construye construyen construyó construyeron construido; repair repaired reparar; steal stole robar
clean cleaned limpiar; watch watched mirar; help helped ayudar; lose lost perder pierde pierden perdió perdieron
bring brought traer trae traen trajo trajeron traído; burn burned quemar; visit visited visitar; win won ganar
defend defended defender defiende defienden defendió defendieron; need needed necesitar; cut cut cortar
describe described describir describe describen describió describieron descrito; lift lifted levantar
draw drew dibujar @school; draw drew desenvainar @war; fire fired disparar @war
fire fired despedir despide despiden despidió despidieron despedido @town
play played tocar @music; play played jugar juega juegan jugó jugaron jugado @school
charge charged cobrar @town; charge charged atacar @war; charge charged cargar @machine
"""

_GIVING = """
give gave dar da dan dio dieron dado; send sent enviar envía envían envió enviaron
show showed mostrar muestra muestran mostró mostraron
"""

_ADJECTIVES = """
red rojo; old viejo; new nuevo; small pequeño; black negro; white blanco; cheap barato; expensive caro
beautiful hermoso; ugly feo; strong fuerte; weak débil; green verde; blue azul; young joven; tired cansado
sad triste; happy feliz
famous famoso; dark oscuro; clean limpio; empty vacío; full lleno; heavy pesado; quiet tranquilo; dirty sucio
poor pobre; cold frío; dangerous peligroso; broken roto; open abierto; strange extraño; round redondo
good bueno buen; bad malo mal; great grande gran; third tercero tercer
"""


def _entries(table: str) -> Iterator[str]:
    for line in table.strip().splitlines():
        yield from (entry.strip() for entry in line.split(";"))


def _noun(topic: str, entry: str) -> Noun:
    english, spanish, gender = entry.split()
    single, _, many = english.partition("/")
    if not many:
        many = f"{single[:-1]}ies" if single.endswith("y") and single[-2] not in "aeiou" else f"{single}s"
        many = f"{single}es" if single.endswith(("s", "x", "ch", "sh")) else many
    return Noun(single, many, spanish, gender[0], topic, gender.endswith("+"))


def _verb(entry: str) -> Verb:
    words, _, topic = entry.partition("@")
    english, past, infinitive, *rest = words.split()
    stem, ar = infinitive[:-2], infinitive.endswith("ar")
    regular = (f"{stem}a", f"{stem}an", f"{stem}ó", f"{stem}aron")
    if not ar:
        regular = (f"{stem}e", f"{stem}en", f"{stem}ió", f"{stem}ieron")
    forms = (rest[0], rest[1], rest[2], rest[3]) if rest else regular
    participle = rest[4] if len(rest) == 5 else stem + ("ado" if ar else "ido")
    return Verb(english, past, infinitive, forms, participle, topic)


def _nouns() -> Iterator[Noun]:
    for line in _NOUNS.strip().splitlines():
        topic, _, entries = line.partition(": ")
        yield from (_noun(topic, entry.strip()) for entry in entries.split(";"))


NOUNS = tuple(_nouns())
TOPICS = tuple(dict.fromkeys(noun.topic for noun in NOUNS))
VERBS = tuple(_verb(entry) for entry in _entries(_VERBS))
GIVING = tuple(_verb(entry) for entry in _entries(_GIVING))
"""Verbs with somebody who receives."""
ADJECTIVES = tuple(Adjective(*entry.split()) for entry in _entries(_ADJECTIVES))

DETERMINERS: Mapping[str, tuple[str, str, str, str]] = MappingProxyType(
    {
        "the": ("el", "la", "los", "las"),
        "a": ("un", "una", "unos", "unas"),
        "this": ("este", "esta", "estos", "estas"),
        "these": ("este", "esta", "estos", "estas"),
        "some": ("algún", "alguna", "unos", "unas"),
        "many": ("mucho", "mucha", "muchos", "muchas"),
        "every": ("cada", "cada", "cada", "cada"),
        "two": ("dos", "dos", "dos", "dos"),
        "my": ("mi", "mi", "mis", "mis"),
        "his": ("su", "su", "sus", "sus"),
        "her": ("su", "su", "sus", "sus"),
        "their": ("su", "su", "sus", "sus"),
        "our": ("nuestro", "nuestra", "nuestros", "nuestras"),
    }
)
"""Before a noun: masculine, feminine, and both of several."""

PREPOSITIONS: Mapping[str, str] = MappingProxyType(
    {
        "in": "en",
        "near": "cerca de",
        "with": "con",
        "without": "sin",
        "under": "debajo de",
        "for": "para",
        "behind": "detrás de",
        "from": "desde",
        "to": "a",
        "of": "de",
        "after": "después de",
    }
)

CONJUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "and": "y",
        "but": "pero",
        "because": "porque",
        "when": "cuando",
        "although": "aunque",
        "or": "o",
        "who": "que",
        "that": "que",
    }
)

ADVERBS: Mapping[str, str] = MappingProxyType(
    {
        "yesterday": "ayer",
        "today": "hoy",
        "always": "siempre",
        "never": "nunca",
        "often": "a menudo",
        "soon": "pronto",
        "there": "allí",
        "very": "muy",
        "too": "demasiado",
    }
)

IDIOMS: Mapping[str, str] = MappingProxyType(
    {
        "by heart": "de memoria",
        "in vain": "en vano",
        "on foot": "a pie",
        "at once": "en seguida",
        "once in a blue moon": "de higos a brevas",
        "last night": "anoche",
        "every morning": "cada mañana",
        "of course": "por supuesto",
        "kicked the bucket": "estiró la pata",
        "cost an arm and a leg": "costó un ojo de la cara",
        "rained cats and dogs": "llovió a cántaros",
        "let the cat out of the bag": "se fue de la lengua",
        "paid through the nose": "pagó un dineral",
    }
)

NAMES = ("Anna", "Boris", "Clara", "Diego", "Elena", "Frank", "Greta", "Hugo", "Irina", "Jonas")
RARE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "samovar": ("samovar", "m"),
        "zeppelin": ("zepelín", "m"),
        "lighthouse": ("faro", "m"),
        "scarecrow": ("espantapájaros", "m"),
        "snowflake": ("copo", "m"),
        "pickpocket": ("carterista", "m"),
        "greenhouse": ("invernadero", "m"),
        "waterfall": ("cascada", "f"),
    }
)
"""Words that people use and the service does not have: it leaves them as they are."""
