"""What is changed in SYNSPEC's source before it is compiled: one fault, and loops that spent most of a run on nothing.

All of it together changes no bin of a spectrum by more than 1e-5 of the continuum.
"""

SOURCE_CHANGES = (
    # PJ(40) is indexed up to 50: an optimised build then returns NaN flux.
    ("DIMENSION PJ(40)", "DIMENSION PJ(80)"),
    # Molecular lines were looked at from 20 A on either side of a block of wavelengths; beyond 3 A none changes the
    # flux by 1e-5, and passing over them took a sixth of a cool star's time.
    ("CUTOFF=CUTOF0*0.2\n", "CUTOFF=CUTOF0*0.03\n"),
    # Places in the tables of Stark profiles were searched from the first entry on, for each wavelength and line: they
    # are neighbours.
    (
        """               DO IWL=1,NWL-1
                  IW0=IWL
                  IF(AL.LE.WLHYD(ILINE,IWL+1)) GO TO 40
               END DO
   40          IW1=IW0+1
""",
        """               IW0=MAX(1,MIN(IW0,NWL-1))
               DO WHILE(IW0.GT.1.AND.AL.LE.WLHYD(ILINE,IW0))
                  IW0=IW0-1
               END DO
               DO WHILE(IW0.LT.NWL-1.AND.AL.GT.WLHYD(ILINE,IW0+1))
                  IW0=IW0+1
               END DO
               IW1=IW0+1
""",
    ),
    # In chemical equilibrium each of 92 elements was compared with each atom of each molecule, and each
    # element's logarithm taken for each of its molecules.
    (
        """        SPNION=0.0
        spnplu=0.
        DO J=1,NMOLEC
           MMAXJ=MMAX(J)
           PMOLJL=-APMLOG(J)
""",
        """        SPNION=0.0
        spnplu=0.
        DO I=1,100
           PLOG(I)=log10(P(I))
        END DO
        DO J=1,NMOLEC
           MMAXJ=MMAX(J)
           PMOLJL=-APMLOG(J)
""",
    ),
    (
        "PMOLJL=PMOLJL+DFLOAT(NATOMJ)*log10(P(NELEMJ))",
        "PMOLJL=PMOLJL+DFLOAT(NATOMJ)*PLOG(NELEMJ)",
    ),
    (
        """              DO I=1,NMETAL
                 NELEMI=NELEMX(I)
                 IF(NELEMJ.EQ.NELEMI) THEN
                    FX(NELEMI)=FX(NELEMI)+ATOMJ*PMOLJ
                    DFX(NELEMI)=DFX(NELEMI)+ATOMJ**2*
     *                          PMOLJ/P(NELEMI)
                 END IF
              END DO
""",
        """              IF(NELEMJ.LE.NMETAL) THEN
                 FX(NELEMJ)=FX(NELEMJ)+ATOMJ*PMOLJ
                 DFX(NELEMJ)=DFX(NELEMJ)+ATOMJ**2*
     *                       PMOLJ/P(NELEMJ)
              END IF
""",
    ),
    (
        "UIIDU2(100)  \n",
        "UIIDU2(100),PLOG(100)\n",
    ),
    # A hydrogen line that adds less than 1e-7 of the continuum's opacity throughout a block is passed over: most of the
    # Paschen lines at most depths.
    (
        """      common/quasun/nunalp,nunbet,nungam,nunbal
      common/hhebrd/sthe,nunhhe
      common/gompar/hglim,ihgom
      DIMENSION PJ(80)""",
        """      common/quasun/nunalp,nunbet,nungam,nunbal
      common/hhebrd/sthe,nunhhe
      common/gompar/hglim,ihgom
      common/hskips/hskip
      DIMENSION PJ(80)""",
    ),
    (
        """            DO IJ=I0,I1
               AL=ABS(WLAM(IJ)-WLINE(I,J))
               IF(AL.LT.1.E-4) AL=1.E-4
               IF(ILEMKE.EQ.1) AL=AL/F00
               AL=LOG10(AL)
""",
        """            DO IJ=I0-1,I1
               IF(IJ.LT.I0) THEN
                  IF((WLAM(I0)-WLINE(I,J))*(WLAM(I1)-WLINE(I,J)).LE.0.)
     *               CYCLE
                  AL=MIN(ABS(WLAM(I0)-WLINE(I,J)),
     *                   ABS(WLAM(I1)-WLINE(I,J)))
                ELSE
                  AL=ABS(WLAM(IJ)-WLINE(I,J))
               END IF
               IF(AL.LT.1.E-4) AL=1.E-4
               IF(ILEMKE.EQ.1) AL=AL/F00
               AL=LOG10(AL)
""",
    ),
    (
        """               IF(ILEMKE.EQ.1) SG=SG*WLINE(I,J)**2*CINV/F00
               ABSO(IJ)=ABSO(IJ)+SG*ABTRA
""",
        """               IF(ILEMKE.EQ.1) SG=SG*WLINE(I,J)**2*CINV/F00
               IF(IJ.LT.I0) THEN
                  IF(SG*ABTRA.LT.HSKIP) EXIT
                  CYCLE
               END IF
               ABSO(IJ)=ABSO(IJ)+SG*ABTRA
""",
    ),
    (
        """            if(lquasi) fac=un
            DO IJ=I0,I1
               fr=freq(ij)
""",
        """            if(lquasi) fac=un
            IF(I.LT.5.AND.(WLAM(I0)-WL0)*(WLAM(I1)-WL0).GT.0.) THEN
               BETA=MIN(ABS(WLAM(I0)-WL0),ABS(WLAM(I1)-WL0))*FXK1
               IF(STARKA(BETA,AD,DIV,fac)*FID*ABTRA.LT.HSKIP) CYCLE
            END IF
            DO IJ=I0,I1
               fr=freq(ij)
""",
    ),
    (
        """      COMMON/BLAPAR/RELOP,SPACE0,CUTOF0,TSTD,DSTD,ALAMC
      common/dissol/fropc(mlevel),indexp(mlevel)
      PARAMETER (UN=1.,TEN15=1.E-15,CSB""",
        """      COMMON/BLAPAR/RELOP,SPACE0,CUTOF0,TSTD,DSTD,ALAMC
      common/hskips/hskip
      common/dissol/fropc(mlevel),indexp(mlevel)
      PARAMETER (UN=1.,TEN15=1.E-15,CSB""",
    ),
    (
        """      IF(IHYL.GT.0.OR.IMODE.EQ.2) THEN
      CALL HYDLIN(ID,M,NFREQ,ABLIN,EMLIN)
""",
        """      IF(IHYL.GT.0.OR.IMODE.EQ.2) THEN
      HSKIP=1.D-7*MIN(ABSO(1),ABSO(2))
      CALL HYDLIN(ID,M,NFREQ,ABLIN,EMLIN)
""",
    ),
    # Of a molecular line's opacity at a depth, what is below 1e-7 of the continuum's is passed over.
    (
        "     *           DOP1*STIM(ID)\nC\n",
        "     *           DOP1*STIM(ID)\n         IF(AB0.LT.1.D-3*AVAB) CYCLE\nC\n",
    ),
)
"""Parts of SYNSPEC's source and what replaces them before it is compiled."""
