"""Word lists of the tokenizer and the sentence splitter.

The affixes are those that the English Web Treebank's guidelines (Bies et al. 2012, after the Penn Treebank's
addendum on hyphens) keep in one token with their hyphen. The other lists are original.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _spellings(text: str) -> frozenset[str]:
    """Return the words unchanged, capitalised and in upper case."""
    return frozenset(
        form for word in text.split() for form in (word, word[0].upper() + word[1:], word.upper())
    )


# A name, a number or an explanation follows these, so their full stop does not end a sentence.
TITLES = _spellings(
    """
    Adm Atty Brig Capt Cdr Cmdr Col Comdr Cpl Dr Drs Fr Gen Gov Hon Insp Lt Maj Messrs Mlle Mme Mmes Mr
    Mrs Ms Msgr Mt Pfc Ph Pres Prof Pvt Rep Reps Rev Sen Sens Sgt Sra Srta Ste Supt cf vs viz
    """
) | {"e.g", "E.g", "i.e", "I.e", "P.S", "p.s"}

# These occur within and at the end of sentences; the next word decides.
ABBREVIATIONS = _spellings(
    """
    Ala Apr Ariz Ark Assn Aug Ave Bhd Bldg Blvd Bros Calif Co Colo Conn Corp Cos Dec Del Dept Dist Div Est
    Esq Feb Fla Fri Ft Ga Hwy Ill Inc Ind Intl Jan Jr Jul Jun Ky La Ltd Mar Mass Md Mfg Mich Minn Miss Mon
    Neb Nev Nov Oct Okla Ont Ore Pa Penn Phila Pls Plc Que Rd Rte Sat Sep Sept Sr St Sun Tenn Thu Thur
    Thurs Tue Tues Univ Va Vt Wed Wis Wyo acct al apt approx appt arr arrv attn avg bros ca co cont dept
    dep ed eds eg esp est etc ext ft govt hr hrs ie incl lb lbs max mfg min mins misc mo mos mph nos orig
    oz pg pkg pp prev prob pt pts qt qty ref resp ser sq tel temp vol vols wk wks yr yrs
    """
) | {"Ph.D", "Ed.D", "M.Sc", "B.Sc", "Lt.Col"}

# Abbreviations before a number, plain words elsewhere ("No. 5", "fig. 3", "p. 12").
NUMBERED = _spellings("Art Bd Ch Fig Figs May No Nos Nr Op Para Sec art ch fig figs no p para sec")

# Capitalised in running text, these begin a sentence: after "Inc." or "U.S." they mark a boundary.
STARTERS = frozenset(
    _words(
        """
        A According After All Also Although An And Another Are As At Because Before Both But By Can
        Despite Did Do Does During Each Even Every First For From He Her Here His How However I I'd I'll
        I'm I've If In Instead Is It It's Its Last Let Let's Many Maybe Meanwhile Most My No Not Nothing
        Now Of On Once One Only Or Our Perhaps Please She Since So Some Still Such Thank Thanks That
        That's The Their Then There There's Therefore These They They're This Those Though Thus To Under
        Until Was We We're Were What When Where Which While Who Why With Would Yes Yet You You're Your
        """
    )
)

# Affixes that stay in the token of their word even if hyphens are split.
PREFIXES = _spellings(
    """
    a agro ante anti arch be bi bio co counter cross cyber de e eco ex extra inter intra macro mega micro
    mid mini mono multi neo non over pan para peri post pre pro pseudo quasi re semi socio sub super tri u
    ultra un uni vice x
    """
)
SUFFIXES = _spellings("able esque ette ever fest fold gate itis less most rama wise")

# Units that may directly follow a number ("5pm", "10kg").
UNITS = frozenset(
    _words(
        """
        am pm AM PM Am Pm k K m M mm MM b B bn x cm km nm kg mg g lb lbs oz ft in yd yds mi mph kph hr hrs
        h min mins sec secs ms ml l MB GB TB KB kb mb gb Hz kHz MHz GHz hz V v W w kW MW MWh kWh mAh C F
        """
    )
)

# Top-level domains, without those that are English words.
DOMAINS = frozenset(
    _words(
        """
        com org net edu gov mil int info biz name aero museum io ai dev app co uk de fr es pt nl ch se dk
        fi pl cz gr ru ua ca au nz jp cn kr tw hk sg br mx ar cl za eu tv cc ly gl
        """
    )
)
FILE_SUFFIXES = frozenset(
    _words(
        """
        txt doc docx xls xlsx ppt pptx pdf ps rtf odt csv tsv json xml yaml yml toml html htm xhtml css js
        ts php asp aspx jsp cgi py cpp java rb rs sh bat exe dll zip gz tar tgz bz2 xz rar jpg jpeg gif
        png bmp tif tiff svg mp3 mp4 avi mov wav mpg mpeg ogg url log ini cfg conf md tex bib db sql dat
        bin iso
        """
    )
)

# Contractions written as one word; the bar marks the split.
FUSED = _words("can|not gon|na wan|na got|ta gim|me lem|me dun|no wha|cha")
# Clitics without their apostrophe, except forms that are also words ("its", "were", "ill").
BARE_CLITICS = _words(
    """
    do|nt does|nt did|nt is|nt are|nt was|nt were|nt have|nt has|nt had|nt wo|nt would|nt ca|nt could|nt
    should|nt ai|nt i|m i|ve you|ve they|ve we|ve they|re you|re that|s what|s
    """
)
# Words that begin with an apostrophe.
ELIDED = frozenset(_words("em til cause tis twas n round bout Em Til Cause Tis Twas N"))
