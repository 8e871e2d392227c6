"""Words of English and Spanish sentences: those that name no street, those that show a place."""

# Behind a street's name the sentence goes on with one of these: "at 23rd and Noland is out".
CARRIES_ON = frozenset(
    """
    a about above across after again against all along also although always am an and another
    any are around as at away back bc be because been before behind below beside between both
    but by came can cannot cant come comes could couldnt cuz daily did didnt do does doesnt
    doing dont down due during each either ever every everyday except few for from gets getting
    go goes going gone got had has have having he hello help her here hes hi him his how i if im
    in inside into is isnt it its ive just last like looks lot made make many may maybe might
    more most much must my near nearby need needed needs never next no nobody nor not now of off
    often on once one only onto or other our out outside over past pls please really right said
    same saw says see seems several she should side since so some somebody someone sometimes
    soon still such than thank thanks that thats the their them then there theres these they
    theyre this those though through thru til till to today together tomorrow tonight too toward
    towards twice two under unless until up us very via want wants was wasnt way we well were
    weve what whats when where which while who whole whose why will with within without wont
    would year years yesterday yet you your youre al algo alguien alli antes aqui asi aun cada
    casi cerca como con cual cuando de del desde despues detras donde dos durante el ella ellos
    en encima enfrente entre era eran es esa ese eso esta estaba estan estas este esto estos
    estoy fue fuera ha hace hacia han hasta hay hola junto la las le les lo los mas me mi mis
    mucho muchos muy nadie ni nos nuestra nuestro o para pero por porque pues que quien se ser
    sin sobre solo son su sus tambien tan te tengo tiene tienen toda todas todo todos tras tu un
    una unas uno unos va ver vez y ya yo favor gracias necesita necesito pm oclock block blocks
    corner intersection esquina cruce area exit ramp bridge overpass underpass light lights sign
    signs signal hydrant sidewalk curb ditch median shoulder lane pothole potholes trash grass
    tree limb limbs water sewer manhole stop
    """.split()
)

# What stands before "street", "road", "drive", "court", "way" without being a name. What a sentence
# carries on with is none either, a few of those apart that streets are called by.
NO_NAME = (
    CARRIES_ON - frozenset(("bridge", "light", "water", "pass"))
) | frozenset(
    """
    access adjacent adult awful backed bad badly basketball big bike blocked both bottom brick
    broken bumpy busy bus car center central circuit city clear closed completely concrete
    country county crooked cross culdesac dangerous dark dead deep different difficult dirt
    dirty district divided double driving dry dusty empty end entire entrance extra farm federal
    fire first flooded food front frontage full good gravel half hard heavily high hiking hit
    home icy inner inspected interior jammed juvenile paper state trail trails nb sb eb wb left
    little local long loose low main major mid middle mile miles minor minute minutes moving
    muddy municipal muy narrow nasty nature neighboring neighbors neighborhood new newer nice
    nearest normal number odd old onecar open opposite outer own parallel parking part passing
    paved people per pickleball plowed poor pretty private public quick quiet rear residential
    resident residents rotten rough rural safe salted same school second secondary separate
    service shared sharp short single slick slippery small smooth snow snowy soft specific steep
    street streets straight supreme sure surrounding tennis test thin third through tiny top
    town traffic travel tree turn turning unlit unpaved unsafe upper vehicle volleyball walking
    washed wet wheel wide winding wooded worn worse worst wrong almost around avoid back barely
    block blocking called check clean cleared cleaning crossed crossing cut cutting drive driven
    drove dug enter entering fix fixed fixing found give given hate leave leaving live lives
    living look looking lost parked pave paving plow plowing rest ride riding road roads route
    shut sweep swept take taken taking tear tell told took tore turned use used using walk
    walked went days day weeks week months month hours hour feet foot inches inch times time
    cars kids dogs cats houses gallons pounds lbs dollars percent tires bags yards acres bound
    rooms families units men women adults children cups boxes loads gal lb ft yd yds sq sqft mph
    degrees monday tuesday wednesday thursday friday saturday sunday january february march
    april june july august september october november december jan feb mar apr jun jul aug sept
    oct nov dec mon tue tues wed thu thur thurs fri sat sun morning afternoon evening night noon
    spring summer winter dias semanas meses anos horas perros gatos carros casas bolsas llantas
    personas veces metros pies pulgadas minutos lunes martes miercoles jueves viernes sabado
    domingo enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre
    diciembre hoyo hoyos bache baches basura arbol arboles agua luz luces calle calles grande
    principal oscura oscuro llena lleno mala malo rota roto sucia sucio cerrada cerrado
    peligrosa vecino vecina vecinos residencial esquina misma mismo otra otro otros primera
    segunda nobody everybody everyone anybody anyone
    """.split()
)  # fmt: skip
# These are streets' names often enough: "Spring St", "Home Ave", "Short St", "Main St".
NAMES_ALL_THE_SAME = frozenset(
    "spring summer winter main home short high center park school church water bridge old new "
    "first second third light pass front river forest street march may june april august central "
    "county country farm square pleasant college temple state trail little long hard".split()
)

# Streets are called by these as well, but alone in a sentence they are just words.
COMMON = frozenset(
    """
    ash cedar center central church college cottage country court crescent dickinson east
    electric elm fair farmer forest fountain franklin front garden golden grand high hill hills
    home hub hunter jackson jones lake lakeview liberty lincoln linden main major manor maple
    market mechanic memorial mill mound north oak oakwood orchard park pearl pine pleasant pond
    poplar prairie proctor redwood ridge river rock rogers school sea short south spring springs
    summit sunset temple trail turner union valley view walnut washington water west white
    wildwood willow wilson winner wood woods grove garage grant green hickory holiday hope ivy
    king kings lee long
    """.split()
)  # fmt: skip

# "the road side", "a street light": then the word before is not a street's.
AFTER_A_WORD = frozenset(
    "side sides light lights lamp lamps sign signs parking tree trees sweeper sweeping cleaning "
    "lighting post posts number numbers name names way crew crews department dept".split()
)

# A place follows: "at Noland Rd", "cerca de la 23".
PLACING = frozenset(
    """
    at on in near by off along down up behind outside inside around between past beside across
    from opposite toward towards under over beyond before after onto into through thru en sobre
    cerca junto entre por hacia frente enfrente detras desde afuera adentro dentro bajo
    """.split()
)
# Such a place is only near the one that is meant.
BESIDE = frozenset(
    """
    near by behind across opposite beside past nearby next close from before after between
    around outside toward towards beyond cerca junto detras frente enfrente lado entre desde
    antes despues pasando
    """.split()
)
# "The corner of"; and between two streets, "and".
CORNER = frozenset(
    "corner corners intersection intersections esquina cruce interseccion cnr".split()
)
AND = frozenset(("and", "y", "e", "con", "n"))
BETWEEN = frozenset(("between", "btwn", "btw", "bet", "entre", "from", "desde"))
# Behind these an ordinal counts: "the 2nd street light".
COUNTED = frozenset(("the", "my", "a", "his", "her", "our", "their", "every", "each"))
ARTICLES = frozenset(("the", "la", "el", "las", "los"))
BLOCK = frozenset(("block", "blk", "blocks", "blck", "cuadra", "bloque"))
CALLE = frozenset(("calle", "avenida", "bulevar", "camino", "carretera", "autopista", "ruta"))
UNIT = frozenset(
    "apt apartment apartments unit ste suite lot trlr trailer bldg building rm room space spc "
    "depto departamento apartamento apto edificio lote".split()
)
MONTHS = frozenset(
    """
    january february march april may june july august september october november december jan
    feb mar apr jun jul aug sep sept oct nov dec enero febrero marzo abril mayo junio julio
    agosto septiembre octubre noviembre diciembre
    """.split()
)

# What the end of a place's name says it is.
KINDS_OF_PLACE = frozenset(
    """
    park parque school elementary library biblioteca church iglesia cemetery cementerio museum
    museo hospital mall plaza stadium estadio arena playground apartments apts subdivision
    trailhead preschool academy daycare theater theatre fairgrounds depot golf marina
    """.split()
)
# Before a kind of place these say nothing: "the big park", "my church".
NO_PLACE_NAME = (
    CARRIES_ON
    | NO_NAME
    | frozenset(
        """
        child childs children childrens community neighborhood side state national dog skate car
        trailer theme ball water local public city kids sunday nearby nearest elementary middle
        high grade grammar catholic baptist private big little small new old beautiful favorite
        former shopping office medical industrial strip mobile rv amusement business skating
        bible nursing animal horse baseball softball soccer football swimming whole entire empty
        apartment senior central main upper lower junior christian methodist lutheran parish
        driver driving trade law home night summer after before during escuela primaria
        secundaria publico publica pequeno pequena
        """.split()
    )
) - frozenset(("main", "spring", "central"))

# "I live at" tells who speaks, not where it is.
HOME = (
    r"(?: (?:i|we|who|ive|weve)(?: have| just| also| actually)* (?:live|lived|reside|stay|own|rent|"
    r"am|are)(?: a| the)?(?: house| home| property| place| resident| residents| right| just| over| "
    r"out| here)*(?: at| on| in| off| of| near| by)?"
    r"| (?:my|our) (?:\w+ )?(?:address|house|home|place|apartment|residence) is(?: located)?"
    r"(?: at| on)?"
    r"| im(?: located| here)?(?: at| on)| (?:resident|homeowner|neighbor) (?:of|at|on|from)"
    r"| viv(?:o|imos|ivo)(?: aqui| cerca)?(?: en)?(?: el| la)?(?: numero)?"
    r"| (?:mi|nuestra) (?:direccion|casa|domicilio)(?: es| esta| queda)*(?: en)?"
    r"| (?:home|mailing) address)(?: the| la| el)* $"
)
# Somebody was called, not stood at.
CALLED = (
    r" (?:call(?:ed|ing)?|told|tell|ask(?:ed)?|contact(?:ed)?|email(?:ed)?|e mailed|wrote(?: to)?|"
    r"write(?: to)?|texted|phoned|notified|spoke (?:to|with)|talk(?:ed)? (?:to|with)|report(?:ed)?"
    r"(?: it| this)? to|went to|been to|complained to|heard from|thanks to|"
    r"during|since|durante|"
    r"llam(?:e|o|amos)(?: a)?|habl(?:e|o|amos) (?:con|a)|reporte (?:a|al)|fui (?:a|al)|"
    r"dije (?:a|al))"
    r"(?: the| el| la| al| a)* $"
)
