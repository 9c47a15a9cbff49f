"""A model of one's own is one file: what may be chosen, and how a choice becomes a model."""


class MyFamily:
    """Two convolutions and a squeeze-and-excitation gate (Hu et al. 2018)."""

    def space(self, trial):
        return {
            "width": trial.suggest_categorical("width", [8, 16]),
            "gate": trial.suggest_categorical("gate", [True, False]),
            # The training recipe: these names mean the same in every family, and none of them costs a rebuild.
            "optimizer": "adamw",
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [32, 64]),
            "augment": trial.suggest_float("augment", 0.0, 0.5),
        }

    def build(self, config, task):
        import keras  # here, because the process that only draws configurations needs none

        images = keras.Input(task.image_shape)
        x = keras.layers.Rescaling(1 / 255)(images)
        for factor in (1, 2):
            x = keras.layers.Conv2D(config["width"] * factor, 3, padding="same", activation="relu")(x)
            x = keras.layers.MaxPooling2D()(x)
        if config["gate"]:
            gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
            x = x * keras.layers.Dense(x.shape[-1], activation="sigmoid")(gate)
        x = keras.layers.Flatten()(x)
        return keras.Model(images, keras.layers.Dense(len(task.classes))(x))
