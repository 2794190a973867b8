"""Networks: tensors in, tensors out. Published weights load into them unchanged; what is made of their geometry is not here."""
