//! Languages besides English: only politeness, and the plainest ways to ask the same. Articles count as they stand.

use crate::semantic::words::Words;

/// Words that turn a meaning round.
pub const POLARITY: &[&str] = &[
    "nicht",
    "kein",
    "keine",
    "keinen",
    "nie",
    "niemals",
    "ohne",
    "ein",
    "aus",
    "vor",
    "nach",
    "aktiviere",
    "deaktiviere",
    "aktivieren",
    "deaktivieren",
    "pas",
    "jamais",
    "sans",
    "avec",
    "avant",
    "après",
    "activer",
    "désactiver",
    "nunca",
    "sin",
    "con",
    "antes",
    "después",
    "activar",
    "desactivar",
    "activo",
    "desactivo",
    "non",
    "mai",
    "senza",
    "prima",
    "dopo",
    "não",
    "sem",
    "com",
    "ativar",
    "desativar",
    "niet",
    "geen",
    "zonder",
    "aan",
    "uit",
    "inte",
    "ingen",
    "utan",
    "не",
    "без",
    "нет",
    "не́т",
    "不",
    "没",
    "無",
    "启",
    "禁",
    "オ",
    "ン",
    "フ",
    "아니",
];

pub const GERMAN_TELLING: &[&str] = &[
    "der", "die", "das", "ist", "und", "wie", "was", "ich", "ein", "eine", "einen", "von", "mit", "für", "nicht",
    "wann", "warum", "wer", "welche", "mein", "meine", "zu", "kann", "den", "dem", "bitte", "auf", "nach", "sind",
    "hat", "haben", "kein", "ohne", "wo", "wieviel", "gegen", "kostet", "kosten", "einer", "einem", "zum", "bedeutet",
    "heißt", "bedeuten", "sie", "mir", "man", "muss", "im",
];
pub const FRENCH_TELLING: &[&str] = &[
    "le", "la", "les", "est", "et", "un", "une", "des", "du", "je", "mon", "comment", "quelle", "quel", "pourquoi",
    "que", "quand", "pour", "dans", "avec", "sans", "pas", "à", "qui", "où", "de", "l", "ce", "il", "qu", "faire",
    "ma", "tu", "sur",
];
pub const SPANISH_TELLING: &[&str] = &[
    "el", "la", "los", "las", "es", "un", "una", "cómo", "cuál", "qué", "por", "para", "con", "sin", "mi", "de", "del",
    "en", "puedo", "cuándo", "dónde", "quién", "se", "cuántas", "hay", "dime", "favor", "lo", "al", "cuántos",
];
pub const ITALIAN_TELLING: &[&str] = &[
    "il", "la", "lo", "gli", "è", "un", "una", "come", "qual", "della", "del", "di", "per", "con", "senza", "che",
    "posso", "si", "perché", "quando", "dove", "mi", "le", "cos", "faccio", "quanto", "cosa", "nel",
];
pub const PORTUGUESE_TELLING: &[&str] = &[
    "os", "é", "um", "uma", "qual", "da", "para", "com", "sem", "não", "minha", "meu", "posso", "faço", "que",
    "quando", "onde", "em", "na", "são", "você", "quanto", "o", "como",
];
pub const DUTCH_TELLING: &[&str] = &[
    "de", "het", "een", "is", "en", "hoe", "wat", "ik", "mijn", "waarom", "kan", "voor", "met", "van", "niet",
    "zonder", "aan", "uit", "je", "kun", "wie", "waar", "wanneer", "zet",
];
pub const SWEDISH_TELLING: &[&str] = &[
    "vad", "är", "hur", "jag", "och", "att", "på", "för", "med", "inte", "av", "mitt", "min", "som", "till", "varför",
    "heter",
];

pub fn german() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("^kannst du mir erklären", ""),
        ("^können sie mir erklären", ""),
        ("^könntest du mir erklären", ""),
        ("^erkläre mir", ""),
        ("^kannst du mir sagen", ""),
        ("^können sie mir sagen", ""),
        ("^könnten sie mir sagen", ""),
        ("^sag mir", ""),
        ("^sage mir", ""),
        ("^weißt du", ""),
        ("^hallo .", ""),
        ("^guten tag .", ""),
        ("^bitte", ""),
        ("^danke", ""),
        ("^vielen dank", ""),
        ("^danke im voraus", ""),
        ("wie kann ich", "?how-to"),
        ("wie könnte ich", "?how-to"),
        ("benötige", "brauche"),
        ("benötigen", "brauchen"),
        ("schreibe mir", "schreibe"),
        ("schreib mir", "schreibe"),
        ("schreib", "schreibe"),
    ];
    const QUESTIONS: &[&str] = &[
        "?how-to", "wie", "was", "wer", "wo", "wann", "warum", "wieso", "welche", "welcher", "welches", "welchem",
        "welchen",
    ];
    const PREPOSITIONS: &[&str] = &[
        "von", "nach", "mit", "ohne", "in", "im", "auf", "für", "gegen", "vor", "bei", "aus", "zu", "zum", "zur",
        "über", "als",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

pub fn french() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("s il te plaît", ""),
        ("s il vous plaît", ""),
        ("svp", ""),
        ("stp", ""),
        ("^bonjour .", ""),
        ("^salut .", ""),
        ("^merci", ""),
        ("^merci d avance", ""),
        ("^peux tu m expliquer", ""),
        ("^pouvez vous m expliquer", ""),
        ("^explique moi", ""),
        ("^expliquez moi", ""),
        ("^peux tu me dire", ""),
        ("^pouvez vous me dire", ""),
        ("^dis moi", ""),
        ("^dites moi", ""),
        ("^peux tu écrire", "écris"),
        ("^peux tu m écrire", "écris"),
        ("^pouvez vous écrire", "écrivez"),
        ("^écris moi", "écris"),
        ("comment puis je", "comment"),
        ("comment est ce que je peux", "comment"),
        ("comment faire pour", "comment"),
        ("comment est ce qu on fait", "comment faire"),
        ("comment fait on", "comment faire"),
        ("^qu est ce que c est que", "?what"),
        ("^qu est ce que", "?what"),
        ("^qu est ce qu", "?what"),
        ("^c est quoi", "?what"),
        ("^est ce que", "?yes-no"),
    ];
    const QUESTIONS: &[&str] = &[
        "?what", "?yes-no", "comment", "quel", "quelle", "quels", "quelles", "qui", "que", "quand", "où", "pourquoi",
        "combien",
    ];
    const PREPOSITIONS: &[&str] = &[
        "de", "du", "des", "d", "à", "au", "aux", "en", "dans", "avec", "sans", "pour", "par", "sur", "contre",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

pub fn spanish() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("por favor", ""),
        ("^hola .", ""),
        ("^gracias", ""),
        ("^dime", ""),
        ("^dígame", ""),
        ("^puedes decirme", ""),
        ("^podrías decirme", ""),
        ("^explícame", ""),
        ("^puedes explicarme", ""),
        ("^me puedes explicar", ""),
        ("cómo puedo", "cómo"),
        ("cómo se puede", "cómo"),
        ("cómo podría", "cómo"),
    ];
    const QUESTIONS: &[&str] = &[
        "cómo", "cuál", "cuáles", "qué", "quién", "quiénes", "dónde", "cuándo", "cuánto", "cuántos", "cuánta",
        "cuántas",
    ];
    const PREPOSITIONS: &[&str] = &[
        "de", "del", "a", "al", "en", "con", "sin", "para", "por", "sobre", "contra", "desde", "hasta",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

pub fn italian() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("per favore", ""),
        ("per piacere", ""),
        ("^ciao .", ""),
        ("^grazie", ""),
        ("^mi dici", ""),
        ("^puoi dirmi", ""),
        ("^dimmi", ""),
        ("^spiegami", ""),
        ("^puoi spiegarmi", ""),
        ("come posso", "come"),
        ("come faccio a", "come"),
        ("come si può", "come"),
        ("come si fa a", "come"),
    ];
    const QUESTIONS: &[&str] = &[
        "come", "qual", "quale", "quali", "chi", "dove", "quando", "quanto", "quanti", "quante", "perché",
    ];
    const PREPOSITIONS: &[&str] = &[
        "di", "del", "della", "dei", "a", "al", "alla", "in", "nel", "nella", "con", "senza", "per", "da", "su",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

pub fn portuguese() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("por favor", ""),
        ("^olá .", ""),
        ("^oi .", ""),
        ("^obrigado", ""),
        ("^obrigada", ""),
        ("^me diga", ""),
        ("^diga me", ""),
        ("^você pode me dizer", ""),
        ("^me explique", ""),
        ("^explique me", ""),
        ("como posso", "como"),
        ("como faço para", "como"),
        ("como eu posso", "como"),
        ("como eu faço para", "como"),
    ];
    const QUESTIONS: &[&str] = &[
        "como", "qual", "quais", "quem", "onde", "quando", "quanto", "quantos", "quantas",
    ];
    const PREPOSITIONS: &[&str] = &[
        "de", "do", "da", "dos", "das", "em", "no", "na", "com", "sem", "para", "por", "sobre",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

pub fn dutch() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("alsjeblieft", ""),
        ("alstublieft", ""),
        ("^hallo .", ""),
        ("^bedankt", ""),
        ("^kun je uitleggen", ""),
        ("^kunt u uitleggen", ""),
        ("^kun je me vertellen", ""),
        ("^vertel me", ""),
        ("^leg uit", ""),
        ("hoe kan ik", "?how-to"),
        ("hoe kun je", "?how-to"),
        ("hoe kan je", "?how-to"),
    ];
    const QUESTIONS: &[&str] = &[
        "?how-to", "hoe", "wat", "wie", "waar", "wanneer", "waarom", "welke", "welk", "hoeveel",
    ];
    const PREPOSITIONS: &[&str] = &[
        "van", "naar", "met", "zonder", "in", "op", "voor", "tegen", "aan", "uit", "over", "bij", "om", "na",
    ];
    Words::new(PHRASES, QUESTIONS, PREPOSITIONS, false)
}

/// Written without spaces: every character is a word.
pub fn chinese() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("请 问", ""),
        ("請 問", ""),
        ("谢 谢", ""),
        ("謝 謝", ""),
        ("^你 好 .", ""),
        ("^您 好 .", ""),
        ("^请 告 诉 我", ""),
        ("怎 么 样", "如 何"),
        ("怎 么", "如 何"),
        ("怎 樣", "如 何"),
        ("什 么 是", "是 什 么"),
    ];
    Words::new(PHRASES, &[], &[], false)
}

/// Written without spaces: every character is a word.
pub fn japanese() -> Words {
    const PHRASES: &[(&str, &str)] = &[
        ("で す か", ""),
        ("で し ょ う か", ""),
        ("を 教 え て く だ さ い", ""),
        ("お 願 い し ま す", ""),
    ];
    Words::new(PHRASES, &[], &[], false)
}
