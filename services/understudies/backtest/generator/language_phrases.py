"""Phrases of the guests' messages in `language-routing`."""

WEIGHTS = {"english": 36, "german": 20, "french": 17, "spanish": 16, "italian": 11}

WORDS: dict[str, tuple[str, ...]] = {
    "city": ("Lisboa", "Praha", "Genève", "Oslo", "Sevilla", "Lyon", "Graz", "Torino", "Leeds", "Porto", "Gdańsk"),
    "name": ("Novak", "Berg", "Costa", "Moreau", "Haas", "Lindgren", "Okafor", "Silva", "Kowalski", "Ricci", "Adams"),
    "hotel": ("Hotel Aurora", "Pension Linde", "Casa Azul", "The Anchor", "Villa Rosa", "Le Phare", "Central Park Inn"),
}

OPENINGS: dict[str, tuple[str, ...]] = {
    "english": ("Hello,", "Good morning,", "Hi there,", "Dear team,", "Quick question:", "Hello from {city},"),
    "german": ("Guten Tag,", "Hallo zusammen,", "Sehr geehrte Damen und Herren,", "Grüße aus {city},", "Kurze Frage:"),
    "french": ("Bonjour,", "Bonsoir,", "Chère équipe,", "Madame, Monsieur,", "Petite question :", "Bonjour de {city},"),
    "spanish": (
        "Hola,",
        "Buenos días,",
        "Estimado equipo,",
        "Buenas tardes,",
        "Una pregunta:",
        "Saludos desde {city},",
    ),
    "italian": ("Buongiorno,", "Salve,", "Gentile staff,", "Buonasera,", "Una domanda:", "Saluti da {city},"),
}

MIDDLES: dict[str, tuple[str, ...]] = {
    "english": (
        "we would like to move booking {order} by {n} nights.",
        "is breakfast at {hotel} included in the price?",
        "our room at {hotel} was not ready when we arrived.",
        "can you tell me how to reach {hotel} from the airport in {city}?",
        "I paid {amount} but have received no confirmation.",
        "please add another bed for our daughter.",
        "the shower in room {n} does not work.",
        "may we bring a small dog to {hotel}?",
        "I need the bill made out to {name} Ltd.",
    ),
    "german": (
        "wir möchten die Buchung {order} um {n} Nächte verschieben.",
        "ist das Frühstück im {hotel} im Preis enthalten?",
        "unser Zimmer im {hotel} war bei der Ankunft nicht fertig.",
        "wie kommen wir vom Flughafen in {city} zum {hotel}?",
        "ich habe {amount} bezahlt, aber keine Bestätigung erhalten.",
        "bitte stellen Sie ein weiteres Bett für unsere Tochter auf.",
        "die Dusche in Zimmer {n} funktioniert nicht.",
        "dürfen wir einen kleinen Hund mitbringen?",
        "die Rechnung soll auf {name} GmbH lauten.",
    ),
    "french": (
        "nous souhaitons décaler la réservation {order} de {n} nuits.",
        "le petit-déjeuner à {hotel} est-il compris dans le prix ?",
        "notre chambre n'était pas prête à notre arrivée à {hotel}.",
        "comment rejoindre {hotel} depuis l'aéroport de {city} ?",
        "j'ai payé {amount} mais je n'ai reçu aucune confirmation.",
        "merci d'ajouter un lit pour notre fille.",
        "la douche de la chambre {n} ne fonctionne pas.",
        "pouvons-nous venir avec un petit chien ?",
        "la facture doit être au nom de {name} SARL.",
    ),
    "spanish": (
        "queremos aplazar la reserva {order} {n} noches.",
        "¿el desayuno en {hotel} está incluido en el precio?",
        "nuestra habitación en {hotel} no estaba lista al llegar.",
        "¿cómo llegamos a {hotel} desde el aeropuerto de {city}?",
        "he pagado {amount} pero no he recibido ninguna confirmación.",
        "por favor, añadan otra cama para nuestra hija.",
        "la ducha de la habitación {n} no funciona.",
        "¿podemos llevar un perro pequeño?",
        "necesito la factura a nombre de {name} S.L.",
    ),
    "italian": (
        "vorremmo spostare la prenotazione {order} di {n} notti.",
        "la colazione a {hotel} è compresa nel prezzo?",
        "la nostra camera a {hotel} non era pronta all'arrivo.",
        "come raggiungiamo {hotel} dall'aeroporto di {city}?",
        "ho pagato {amount} ma non ho ricevuto alcuna conferma.",
        "per favore aggiungete un letto per nostra figlia.",
        "la doccia della camera {n} non funziona.",
        "possiamo portare un cane piccolo?",
        "la fattura va intestata a {name} S.r.l.",
    ),
}

CLOSINGS: dict[str, tuple[str, ...]] = {
    "english": ("Thanks, {name}", "Best wishes, {name}", "Looking forward to your answer.", "Thank you very much!"),
    "german": ("Danke, {name}", "Mit freundlichen Grüßen, {name}", "Vielen Dank im Voraus!", "Bis bald, {name}"),
    "french": ("Merci, {name}", "Cordialement, {name}", "Dans l'attente de votre réponse.", "Merci beaucoup !"),
    "spanish": ("Gracias, {name}", "Un saludo, {name}", "Quedo a la espera de su respuesta.", "¡Muchas gracias!"),
    "italian": ("Grazie, {name}", "Cordiali saluti, {name}", "In attesa di una vostra risposta.", "Grazie mille!"),
}
