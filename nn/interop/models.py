"""The PyTorch side of `models.rs`: three models whose tensors have the same names."""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Mlp(nn.Module):
    """`Mlp::new(&[6, 8, 5, 3], Activation::Relu, ..)`"""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 3)])

    def forward(self, x, lengths=None):
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class Cnn(nn.Sequential):
    """Convolutions, one in groups; batch norm with what it has seen; both poolings."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
            nn.BatchNorm2d(6, eps=1e-3),
            nn.GELU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 3),
        )

    def forward(self, x, lengths=None):
        return super().forward(x)


class Tagger(nn.Module):
    """A label for each token, read in both directions."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(8, 2)

    def forward(self, x, lengths):
        x = self.embedding(x.long())
        x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        x = pad_packed_sequence(self.lstm(x)[0], batch_first=True)[0]
        return self.linear(x)


MODELS = {"mlp": Mlp, "cnn": Cnn, "tagger": Tagger}
