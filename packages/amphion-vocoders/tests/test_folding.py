import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_vocoders import WaveRNN, WaveRNNConfig
from amphion_vocoders.folding import FoldConfig, crossfade, fold_starts

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
FOLD = FoldConfig(target=100, overlap=20)


def model(**changes):
    values = dict(mel=MEL, rates=(4, 4), channels=16, head_channels=12, frame_channels=8, frame_blocks=1)
    values |= {"aux_channels": 8, "output": {"kind": "mulaw", "classes": 32}} | changes
    torch.manual_seed(0)
    return WaveRNN(WaveRNNConfig(**values)).eval()


@pytest.mark.parametrize("length", [1, 19, 140, 141, 260, 261, 1000])
def test_pieces_cover_the_clip_and_none_begins_in_its_last_overlap(length):
    starts = fold_starts(length, FOLD)
    assert starts[-1] + 140 >= length
    assert starts == [120 * i for i in range(len(starts))]
    assert len(starts) == 1 or starts[-1] < length - FOLD.overlap


def test_pieces_of_one_function_give_it_back_outside_the_fades():
    wav = torch.randn(3 * 120 + 20)
    starts = fold_starts(wav.shape[0], FOLD)
    joined = crossfade(torch.stack([wav[start : start + 140] for start in starts]), FOLD.overlap)
    assert joined.shape == wav.shape
    faded = torch.zeros(380, dtype=torch.bool)
    for start in starts[1:]:
        faded[start + 10 : start + 20] = True
    assert torch.equal(joined[~faded], wav[~faded])
    # In a fade two equal signals add up to between 1 and the root of 2 of either.
    gain = joined[faded] / wav[faded]
    assert gain.min() > 0.999
    assert gain.max() < 2**0.5 + 1e-3


def test_fades_keep_the_power():
    first, second = (crossfade(one[:, None].expand(2, 140), 20) for one in torch.eye(2))
    power = first.square() + second.square()
    torch.testing.assert_close(power, torch.ones(260))
    assert (first.diff() <= 0).all()


def test_a_clip_of_one_piece_is_drawn_as_it_is_unfolded():
    mel = torch.randn(1, 10, 8) - 4
    # Nearly certain drawing, since a piece has other numbers than the clip.
    whole, folded = (model(temperature=1e-4, batched=fold).synthesize(mel) for fold in (None, FOLD))
    assert torch.equal(whole, folded)


def test_first_piece_is_the_beginning_of_the_unfolded_clip():
    mel = torch.randn(1, 10, 40) - 4
    whole, folded = (model(temperature=1e-4, batched=fold).synthesize(mel) for fold in (None, FOLD))
    assert folded.shape == whole.shape
    assert torch.equal(whole[:, :130], folded[:, :130])


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_folded_items_of_a_batch_equal_the_items_alone(rows):
    vocoder = model(batched=FOLD.updated(rows=rows))
    mel, lengths = torch.randn(3, 10, 40) - 4, torch.tensor([40, 7, 21])
    batch = vocoder.synthesize(mel, lengths=lengths, generator=torch.Generator().manual_seed(1))
    for row, item, length in zip(batch, mel, lengths.tolist(), strict=True):
        alone = vocoder.synthesize(item[None, :, :length], generator=torch.Generator().manual_seed(1))
        assert torch.equal(row[: length * 16], alone[0])
        assert not row[length * 16 :].any()


def test_side_by_side_are_at_most_so_many_pieces(monkeypatch):
    vocoder, seen = model(batched=FOLD.updated(rows=3)), []
    steps = vocoder.steps
    monkeypatch.setattr(vocoder, "steps", lambda rows: seen.append(rows) or steps(rows))
    vocoder.synthesize(torch.randn(1, 10, 70) - 4)
    assert seen == [3, 3, 3, 1]


def test_a_folded_vocoder_does_not_stream():
    with pytest.raises(ValueError, match="need the whole clip"):
        model(batched=FOLD).stream(iter(()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"target": 10, "overlap": 20}, "target 10 is shorter than overlap 20"), ({"overlap": 21}, "multiple of 2")],
)
def test_sizes_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        FoldConfig.parse(changes)
