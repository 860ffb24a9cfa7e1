import pytest

from amphion_eval.numerals import digits


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("twenty one", "21"),
        ("one", "one"),
        ("one oh one", "101"),
        ("nineteen eighty four", "1984"),
        ("nineteen oh five", "1905"),
        ("two thousand and six", "2006"),
        ("one hundred and twenty three thousand four hundred and fifty six", "123456"),
        ("seven million eight hundred forty two thousand nine hundred and one", "7842901"),
        ("three point one four", "3.14"),
        ("two and a half million", "2500000"),
        ("double oh seven", "007"),
        ("minus five percent", "-5%"),
        ("five per cent", "5%"),
        ("ten thousand dollars", "$10000"),
        ("ten dollars and fifty cents", "$10.50"),
        ("twelve dollars fifty", "$12 50"),
        ("fifty cents", "¢50"),
        ("zero dollars", "$0"),
        ("twenty first of may", "21st of may"),
        ("the nineteen nineties", "the 1990s"),
        ("hundreds of people", "100s of people"),
        ("3.5 million dollars", "$3500000"),
        ("five and six", "5 and 6"),
        ("two hundred three hundred", "20300"),
        ("twenty four seven", "247"),
        ("ninth of may", "ninth of may"),
        ("007", "7"),
        ("point taken", "point taken"),
        ("negative feedback", "negative feedback"),
        ("", ""),
    ],
)
def test_spoken_number_is_written_in_digits(spoken, written):
    assert digits(spoken) == written


@pytest.mark.parametrize("number", [0, 7, 10, 13, 20, 45, 99, 100, 101, 219, 1000, 4007, 20_000, 345_678, 1_000_001])
def test_number_that_is_spelled_out_comes_back(number):
    assert digits(spelled(number)) == str(number)


def spelled(number):
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    small = [*small.split(), "seventeen", "eighteen", "nineteen"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if number < 20:
        return small[number]
    if number < 100:
        return " ".join([tens[number // 10 - 2], *([small[number % 10]] if number % 10 else [])])
    for size, word in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return " ".join([spelled(number // size), word, *([spelled(rest)] if rest else [])])
    raise AssertionError
