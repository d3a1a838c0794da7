"""What a new guest is told: the provisioning CD in Azure's form."""
