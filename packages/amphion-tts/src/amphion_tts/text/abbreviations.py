"""Tables of the English normalisation."""

from __future__ import annotations

__all__ = ["ABBREVIATIONS", "CURRENCIES", "MONTHS", "SIGNS", "UNITS", "WEEKDAYS"]

MONTHS = dict(
    enumerate(
        [
            "January", "February", "March", "April", "May", "June",
            "July", "August", "September", "October", "November", "December",
        ],
        1,
    )
)  # fmt: skip

WEEKDAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Thur": "Thursday",
    "Thurs": "Thursday", "Fri": "Friday",
}  # fmt: skip

ABBREVIATIONS = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Drs": "Doctors", "Prof": "Professor",
    "Rev": "Reverend", "Hon": "Honorable", "Gen": "General", "Col": "Colonel", "Maj": "Major", "Capt": "Captain",
    "Lt": "Lieutenant", "Sgt": "Sergeant", "Cpl": "Corporal", "Pvt": "Private", "Adm": "Admiral", "Gov": "Governor",
    "Sen": "Senator", "Rep": "Representative", "Pres": "President", "Jr": "Junior", "Sr": "Senior",
    "Esq": "Esquire", "Ltd": "Limited", "Inc": "Incorporated", "Corp": "Corporation", "Co": "Company",
    "Bros": "Brothers", "Dept": "Department", "Univ": "University", "Assn": "Association", "Ave": "Avenue",
    "Blvd": "Boulevard", "Rd": "Road", "St": "Street", "Ln": "Lane", "Hwy": "Highway", "Mt": "Mount", "Ft": "Fort",
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June", "Jul": "July",
    "Aug": "August", "Sep": "September", "Sept": "September", "Oct": "October", "Nov": "November",
    "Dec": "December", "e.g": "for example", "i.e": "that is", "etc": "et cetera", "cf": "compare", "approx":
    "approximately", "vs": "versus", "Vol": "Volume", "vol": "volume", "pp": "pages", "fig": "figure",
    "Fig": "Figure", "ed": "edition", "min": "minutes", "max": "maximum", "hr": "hour", "hrs": "hours", "a.k.a":
    "also known as", "Ph.D": "P H D", "al": "al", "est": "established",
}  # fmt: skip

CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
}
"""Sign to one and many of the unit, one and many of its hundredth."""

UNITS = {
    "%": ("percent", "percent"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "m/s": ("meter per second", "meters per second"),
    "mph": ("mile per hour", "miles per hour"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "m": ("meter", "meters"),
    "mi": ("mile", "miles"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "L": ("liter", "liters"),
    "l": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "ms": ("millisecond", "milliseconds"),
    "s": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "V": ("volt", "volts"),
    "dB": ("decibel", "decibels"),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
}
"""Unit to its name for one and for many."""

SIGNS = {
    "&": " and ",
    "@": " at ",
    "#": " number ",
    "%": " percent ",
    "+": " plus ",
    "=": " equals ",
    "*": " ",
    "/": " slash ",
    "\\": " backslash ",
    "_": " ",
    "~": " about ",
    "^": " ",
    "<": " ",
    ">": " ",
    "|": " ",
    "°": " degrees ",
    '"': " ",
    "`": " ",
}
