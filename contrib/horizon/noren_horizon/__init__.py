"""A plugin of Horizon: its tables of instances, volumes, images and networks change as events come from Noren."""
