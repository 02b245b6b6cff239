"""Small vocoders of three families that leave different traces: mel spectrogram → speech.

`upsampling` works in the time domain (HiFi-GAN), `fourier` predicts a spectrogram in one pass
(Vocos), `flow` integrates one out of shaped noise (rectified flow).
"""
