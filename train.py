"""Train a location encoder: `python train.py location_encoder=sh_siren vision=vit16 legendre_polys=40`."""

from satclip.run import main

if __name__ == "__main__":
    main()
